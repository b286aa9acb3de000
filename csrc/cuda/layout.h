// The arrays a resident kernel keeps in shared memory, and their sizes: the one home of that arithmetic, shared by the
// kernels (which take the arrays in this order) and by plan() (which must know whether they fit). No torch, no CUDA.
//
// A block owns `rows` samples and `units` hidden units. Its product is operand [rows, K] times weights [K, C]: forward
// K = H and C = G * units, backward K = G * H and C = units.
#pragma once

#include <cstdint>

#include "../core/layer.h"

namespace seqgrad::cuda {

constexpr int kMaxPairs = 4;      // (sample, unit) pairs that one thread carries in registers
constexpr int kMaxThreads = 256;  // per block, so that a thread may have 255 registers: what its pairs carry fills them
constexpr int kRegisters = 256;   // that a resident kernel may take per thread, as plan() counts them
constexpr int kMaxNorms = 4;      // rows of `norms`: grad_h, grad_carry, grad_c, clip_hits
enum class Pass : int { forward, backward };

SEQGRAD_HD constexpr int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Lanes per sample in the pointwise phase: a power of two below a warp, whole warps above, so that sums are warp-local.
SEQGRAD_HD constexpr int64_t padded_units(int64_t units) {
  if (units >= 32) return round_up(units, 32);
  int64_t lanes = 1;
  while (lanes < units) lanes *= 2;
  return lanes;
}

SEQGRAD_HD constexpr int64_t element_size(DType type) { return type == DType::float64 ? 8 : type == DType::float32 ? 4 : 2; }

// What plan() chooses for a resident launch.
struct Tiles {
  int64_t rows = 0;     // R: samples per block
  int64_t units = 0;    // U: hidden units per block
  int64_t slices = 1;   // blocks that share a group of samples: ceil(H / U). One slice needs no barrier between blocks
  int64_t groups = 1;   // groups of samples: ceil(N / R)
  int threads = 0;      // per block, a multiple of 32
  int row_tile = 16;    // samples per product tile: 4 or 16 for float32, 16 for 16-bit types
  int k_parts = 1;      // shares of K that warps sum apart
  int64_t k_chunk = 0;  // columns of the operand held at once, a multiple of k_step; all of K when slices == 1
};

struct Layout {
  int64_t K, C;                // depth and columns of the product
  int64_t k_padded, c_padded;  // to whole tiles, zero there
  int64_t lda, ldb;            // strides of operand [row][k] and weights, float32 [k][column], 16-bit [column][k]
  int64_t r_padded;            // rows to whole tiles
  int64_t lanes, segments;     // lanes per sample; warps per sample (1 when lanes <= 32)
  // elements of each array, in the order in which kernels take them
  int64_t weights, operand, partial, bias, sums;
  int64_t bytes;  // of all of them, each rounded to 128
};

// Whole tiles of K and C are multiples of these; the columns of one product tile.
SEQGRAD_HD constexpr int64_t k_step(DType type) {
  return type == DType::float32 ? 4 : 16;
}
SEQGRAD_HD constexpr int64_t column_step(DType type) { return type == DType::float32 ? 4 : 16; }
SEQGRAD_HD constexpr int64_t column_tile(DType type, int row_tile) { return type == DType::float32 ? (row_tile == 4 ? 128 : 32) : 16; }

// Float tiles with few columns, by row_tile: four lanes then share K, so that none is idle.
constexpr int kFewColumns4 = 32, kFewColumns16 = 8;
SEQGRAD_HD constexpr int lanes_sharing_k(DType type, int row_tile, int64_t c_padded) {
  return type == DType::float32 && c_padded <= (row_tile == 4 ? kFewColumns4 : kFewColumns16) ? 4 : 1;
}

SEQGRAD_HD constexpr Layout make_layout(Pass pass, int gates, bool split, DType type, int64_t H, const Tiles& tiles) {
  Layout l{};
  const bool half = type != DType::float32;
  l.K = pass == Pass::forward ? H : gates * H;
  l.C = pass == Pass::forward ? gates * tiles.units : tiles.units;
  l.k_padded = round_up(l.K, k_step(type));
  l.c_padded = round_up(l.C, column_step(type));
  const int64_t chunk = tiles.k_chunk < l.k_padded ? tiles.k_chunk : l.k_padded;
  // Strides that spread the rows of a tile over the banks: 4 words apart for float, 16 bytes for 16-bit types.
  l.lda = half ? chunk + 8 : round_up(chunk, 32) + 4;
  l.ldb = half ? l.k_padded + 8 : l.c_padded;
  l.r_padded = round_up(tiles.rows, tiles.row_tile);
  l.lanes = padded_units(tiles.units);
  l.segments = l.lanes > 32 ? l.lanes / 32 : 1;
  l.weights = (half ? l.c_padded : l.k_padded) * l.ldb;
  l.operand = l.r_padded * l.lda;
  l.partial = tiles.k_parts * l.r_padded * l.c_padded;
  l.bias = pass == Pass::forward ? (gates + (split ? 1 : 0)) * tiles.units : 0;
  l.sums = pass == Pass::backward ? kMaxNorms * tiles.rows * l.segments : 0;
  const int64_t size = element_size(type);
  const int64_t arrays[] = {l.weights * size, l.operand * size, l.partial * 4, l.bias * 4, l.sums * 8};
  for (int64_t bytes : arrays) l.bytes += round_up(bytes, 128);
  return l;
}

// Barrier counters of the grid path: one per group of samples, each on a cache line of its own, zero at launch.
constexpr int64_t kCounterBytes = 128;

// Partial sums of squares that the slices of the grid path exchange: two rounds of
// [group][slice][norm][row][segment], double.
SEQGRAD_HD constexpr int64_t partial_norms(const Tiles& tiles) {
  const int64_t lanes = padded_units(tiles.units);
  return 2 * tiles.groups * tiles.slices * kMaxNorms * tiles.rows * (lanes > 32 ? lanes / 32 : 1);
}

}  // namespace seqgrad::cuda
