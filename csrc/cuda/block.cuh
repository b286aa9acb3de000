// What forward and backward of the resident kernels share: a block's place, its (sample, unit) pairs, the arrival of the
// exchanged state and the barrier between the blocks of a group.
#pragma once

#include "layout.h"
#include "math.cuh"
#include "product.cuh"
#include "resident.h"

namespace seqgrad::cuda {

// A layout in the int arithmetic that shared memory allows: registers are what limits these kernels.
struct Geometry {
  int lda, ldb, k_padded, c_padded, r_padded, lanes, segments;

  __device__ __forceinline__ explicit Geometry(const Layout& l)
      : lda(int(l.lda)), ldb(int(l.ldb)), k_padded(int(l.k_padded)), c_padded(int(l.c_padded)), r_padded(int(l.r_padded)),
        lanes(int(l.lanes)), segments(int(l.segments)) {}

  __device__ __forceinline__ ProductShape product(const Tiles& tiles, int begin, int depth) const {
    return {lda, ldb, c_padded, r_padded, c_padded, tiles.row_tile, tiles.k_parts, begin, depth};
  }
};

// One (sample, unit) pair of a thread, within its block; an absent pair has no length.
struct Pair {
  int place = 0, length = -1;
  __device__ __forceinline__ bool here() const { return length >= 0; }
  __device__ __forceinline__ int row() const { return place >> 16; }
  __device__ __forceinline__ int unit() const { return place & 0xffff; }
};

// Where a block stands: slice `slice` of group `group`, its first sample and unit, and how many of each there are.
struct Place {
  int slice, group, rows, units;
  int64_t n0;
  int u0;

  template <class Params>
  __device__ __forceinline__ explicit Place(const Params& p)
      : slice(int(blockIdx.x % unsigned(p.tiles.slices))), group(int(blockIdx.x / unsigned(p.tiles.slices))), n0(group * p.tiles.rows),
        u0(slice * int(p.tiles.units)) {
    rows = int(p.N - n0 < p.tiles.rows ? p.N - n0 : p.tiles.rows);
    units = int(p.H - u0 < p.tiles.units ? p.H - u0 : p.tiles.units);
  }

  template <class Params>
  __device__ __forceinline__ Pair pair(const Params& p, const Geometry& l, int e) const {
    const int index = e * int(blockDim.x) + int(threadIdx.x), row = index / l.lanes, unit = index % l.lanes;
    if (row >= rows || unit >= units) return {};
    const int64_t length = p.lengths ? p.lengths[n0 + row] : p.T;
    return {row << 16 | unit, int(length < 0 ? 0 : (length > p.T ? p.T : length))};
  }
};

// The blocks of a group meet: all arrive, then all wait for the same count. What a block wrote before it arrived, the
// others may read after they waited. The counter only grows; counts are compared modulo 2^32.
class GroupBarrier {
 public:
  __device__ __forceinline__ GroupBarrier(unsigned* counters, int group, int64_t slices)
      : counter(counters + group * (kCounterBytes / static_cast<int64_t>(sizeof(unsigned)))), blocks(static_cast<unsigned>(slices)) {}

  __device__ __forceinline__ void arrive() {
    target += blocks;
    __syncthreads();
    if (threadIdx.x == 0) AtomicCounter(*counter).fetch_add(1u, kRelease);
  }
  __device__ __forceinline__ void wait() {
    if (threadIdx.x == 0) {
      AtomicCounter arrived(*counter);
      while (static_cast<int>(arrived.load(kAcquire) - target) < 0) {}
    }
    __syncthreads();
  }

 private:
  unsigned* counter;
  unsigned blocks, target = 0;
};

// Reads past the L1 cache what another block has written in this launch. (CUDA's own overload for 16-bit floats is not
// volatile: the compiler could move it across a barrier.)
template <class S>
__device__ __forceinline__ S load_exchanged(const S* from) {
  if constexpr (sizeof(S) == 2) {
    S value;
    *reinterpret_cast<unsigned short*>(&value) = __ldcg(reinterpret_cast<const unsigned short*>(from));
    return value;
  } else {
    return __ldcg(from);
  }
}

// Weights of the block into shared memory, zero where `source(k, column)` is null. `along_k`: neighbouring threads read
// neighbouring k, else neighbouring columns. Loads are batched: one at a time, each would cost a round trip to memory.
template <class S, class Source>
__device__ __forceinline__ void load_weights(S* weights, const Geometry& l, bool along_k, Source&& source) {
  constexpr int kBatch = 8;
  const int count = l.k_padded * l.c_padded, width = along_k ? l.k_padded : l.c_padded, threads = static_cast<int>(blockDim.x);
  for (int first = static_cast<int>(threadIdx.x); first < count; first += kBatch * threads) {
    S value[kBatch];
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int index = first + b * threads, slow = index / width, fast = index - slow * width;
      const S* from = index < count ? source(along_k ? fast : slow, along_k ? slow : fast) : nullptr;
      value[b] = from ? *from : from_arithmetic<S>(0.0f);
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      const int index = first + b * threads, slow = index / width, fast = index - slow * width;
      if (index < count) weights[weight_at<S>(along_k ? fast : slow, along_k ? slow : fast, l.ldb)] = value[b];
    }
  }
}

// operand[r][0, depth) = columns [k0, k0 + depth) of row_of(r), zero from K on; row_of gives [K] in device memory. A thread
// has its share when this returns; the others' after a __syncthreads.
template <class S, class RowOf>
__device__ __forceinline__ void load_operand(S* operand, int lda, int rows, int64_t k0, int depth, int64_t K, bool aligned,
                                             RowOf&& row_of) {
  if (aligned) {  // every row starts at a multiple of 16 bytes and is as long: whole vectors, all in flight at once
    constexpr int kWidth = 16 / static_cast<int>(sizeof(S));
    const int vectors = depth / kWidth;
    for (int index = static_cast<int>(threadIdx.x); index < rows * vectors; index += static_cast<int>(blockDim.x)) {
      const int row = index / vectors, column = index % vectors * kWidth;
      S* to = operand + row * lda + column;
      if (k0 + column < K) copy_async_16(to, row_of(row) + k0 + column);
      else *reinterpret_cast<uint4*>(to) = make_uint4(0, 0, 0, 0);
    }
    copy_async_wait();
    return;
  }
  for (int index = static_cast<int>(threadIdx.x); index < rows * depth; index += static_cast<int>(blockDim.x)) {
    const int row = index / depth, column = index % depth;
    operand[row * lda + column] = k0 + column < K ? load_exchanged(row_of(row) + k0 + column) : from_arithmetic<S>(0.0f);
  }
}

__device__ __forceinline__ bool on_16_bytes(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }

// Sum of the shares of K, in order.
__device__ __forceinline__ float sum_parts(const float* partial, const Geometry& l, int k_parts, int row, int column) {
  const float* at = partial + row * l.c_padded + column;
  float sum = 0.0f;
  for (int i = 0; i < k_parts; ++i) sum += at[i * l.r_padded * l.c_padded];
  return sum;
}

template <class T>
__device__ __forceinline__ void fill_zero(T* array, int64_t count) {
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) array[i] = T(0.0f);
}

// Tensor cores of the storage type; a kernel without them has an empty body, and plan() never chooses it.
template <class S>
constexpr bool kHasProduct =
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
    Storage<S>::kType != DType::bfloat16;
#else
    true;
#endif

}  // namespace seqgrad::cuda
