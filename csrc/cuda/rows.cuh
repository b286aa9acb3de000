// Kernels around the recurrence: rows gathered, padding cleared, types converted, columns summed. Memory-bound, simple.
#pragma once

#include "math.cuh"
#include "rows.h"

namespace seqgrad::cuda {

// One block per row, and further rows a grid apart. W: an unsigned integer as wide as the storage type.
template <class W>
__global__ void gather_rows_kernel(Rows p) {
  for (int64_t row = blockIdx.x; row < p.T * p.N; row += gridDim.x) {
    const int64_t t = row / p.N, n = row - t * p.N, given = p.lengths ? p.lengths[n] : p.T, length = given > p.T ? p.T : given;
    const W* from = static_cast<const W*>(p.from) + t * p.stride_t + n * p.stride_n;
    if (p.before) {
      const bool first = t == (p.reverse ? length - 1 : 0);
      from = first ? static_cast<const W*>(p.before) + n * p.width : from + (p.reverse ? p.stride_t : -p.stride_t);
    }
    W* to = static_cast<W*>(p.to) + row * p.width;
    for (int64_t u = threadIdx.x; u < p.width; u += blockDim.x) to[u] = t < length ? from[u] : W(0);
  }
}

template <class W>
__global__ void clear_padding_kernel(Rows p) {
  for (int64_t row = blockIdx.x; row < p.T * p.N; row += gridDim.x) {
    const int64_t t = row / p.N;
    if (t < p.lengths[row - t * p.N]) continue;
    for (int64_t u = threadIdx.x; u < p.width; u += blockDim.x) static_cast<W*>(p.to)[row * p.width + u] = 0;
  }
}

struct Conversion {
  void* to;
  const void* from;
  int64_t count;
};

template <class S, bool kUp>
__global__ void convert_kernel(Conversion p) {
  using A = ArithmeticOf<S>;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < p.count; i += step) {
    if constexpr (kUp) static_cast<A*>(p.to)[i] = to_arithmetic(static_cast<const S*>(p.from)[i]);
    else static_cast<S*>(p.to)[i] = from_arithmetic<S>(static_cast<const A*>(p.from)[i]);
  }
}

constexpr int kSumColumns = 32, kSumLanes = 8;                      // of a block: columns, and threads that share one
constexpr int64_t kSumRows = static_cast<int64_t>(kSumLanes) * 16;  // of a block: errors grow with 16 + 3 additions

struct ColumnSum {
  int64_t rows, columns;
  const void* from;     // [rows, columns]
  void* partial;        // [ceil(rows / kSumRows), columns] A; null: this is the last round, and rows <= kSumRows
  void *db_ih, *db_hh;  // [G*H] S or null
  int64_t H;
  int gates, recurrent_plane;
};

// Each thread sums every kSumLanes-th row of its block's rows; the lanes of a column are summed as a tree. From: S in the
// first round, A then.
template <class S, class From>
__global__ void sum_columns_kernel(ColumnSum p) {
  using A = ArithmeticOf<S>;
  Shared shared;
  A* sums = shared.take<A>(kSumColumns * kSumLanes);
  const int lane = static_cast<int>(threadIdx.x) / kSumColumns;
  const int64_t column = static_cast<int64_t>(blockIdx.y) * kSumColumns + threadIdx.x % kSumColumns;
  const int64_t first = blockIdx.x * kSumRows, end = first + kSumRows < p.rows ? first + kSumRows : p.rows;
  A sum = 0;
  if (column < p.columns)
    for (int64_t row = first + lane; row < end; row += kSumLanes)
      sum += to_arithmetic(static_cast<const From*>(p.from)[row * p.columns + column]);
  sums[threadIdx.x] = sum;
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) sums[threadIdx.x] += sums[threadIdx.x + half * kSumColumns];
  }
  if (lane > 0 || column >= p.columns) return;
  const A total = sums[threadIdx.x];
  if (p.partial) {
    static_cast<A*>(p.partial)[blockIdx.x * p.columns + column] = total;
    return;
  }
  const int plane = static_cast<int>(column / p.H), gate = plane - p.recurrent_plane;
  const int64_t u = column - plane * p.H;
  const int input_gate = p.recurrent_plane ? (plane + p.gates - 1) % p.gates : plane;
  if (p.db_ih && plane < p.gates) static_cast<S*>(p.db_ih)[input_gate * p.H + u] = from_arithmetic<S>(total);
  if (p.db_hh && gate >= 0) static_cast<S*>(p.db_hh)[gate * p.H + u] = from_arithmetic<S>(total);
}

}  // namespace seqgrad::cuda
