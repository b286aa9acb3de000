// The product of a step: operand [rows, K] times weights [K, C], both in shared memory, by the warps of one block.
// Work items are (tile of rows, tile of columns, share of K); shares of K are summed by the reader, in order.
#pragma once

#include "layout.h"
#include "math.cuh"

namespace seqgrad::cuda {

// Where W[k][column] lies: columns fastest for FFMA, whose lanes read neighbouring columns; k fastest for tensor cores, so
// that the few columns of a slice need no padding of their own.
template <class S>
__device__ __forceinline__ int weight_at(int k, int column, int ldb) {
  return Storage<S>::kType == DType::float32 ? k * ldb + column : column * ldb + k;
}

// The geometry of one call, in the int arithmetic that shared memory allows.
struct ProductShape {
  int lda, ldb, ldc;  // strides of operand, weights, partial (ldc = c_padded)
  int rows, columns;  // padded
  int row_tile, k_parts;
  int begin, depth;  // this chunk of K, multiples of k_step; later chunks add to what the first left in `partial`
};

// One warp, 4 * LaneRows rows x 4 * LaneColumns columns, 4 x 4 sums per lane; lanes left over share K out, 4 of it at a time.
// Rows of a lane lie LaneRows apart, so that the rows that a warp reads at once fall into different banks.
template <int LaneRows, int LaneColumns>
__device__ __forceinline__ void float_tile(const float* a, const float* b, float* c, const ProductShape& s, int k0, int k1, int columns) {
  constexpr int kLaneDepth = 32 / LaneRows / LaneColumns;
  const int lane = static_cast<int>(threadIdx.x) % 32, i = lane / LaneColumns % LaneRows, j = lane % LaneColumns * 4;
  const int share = lane / (LaneRows * LaneColumns);
  const bool here = j < columns;
  float sum[4][4];
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int q = 0; q < 4; ++q) sum[r][q] = s.begin && here && share == 0 ? c[(i + LaneRows * r) * s.ldc + j + q] : 0.0f;
  for (int k = k0 + 4 * share; here && k < k1; k += 4 * kLaneDepth) {
    float4 left[4];
#pragma unroll
    for (int r = 0; r < 4; ++r) left[r] = *reinterpret_cast<const float4*>(a + (i + LaneRows * r) * s.lda + k);
#pragma unroll
    for (int kk = 0; kk < 4; ++kk) {
      const float4 right = *reinterpret_cast<const float4*>(b + (k + kk) * s.ldb + j);
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const float x = kk == 0 ? left[r].x : kk == 1 ? left[r].y : kk == 2 ? left[r].z : left[r].w;
        sum[r][0] += x * right.x, sum[r][1] += x * right.y, sum[r][2] += x * right.z, sum[r][3] += x * right.w;
      }
    }
  }
#pragma unroll
  for (int offset = kLaneDepth / 2; offset > 0; offset /= 2)
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int q = 0; q < 4; ++q) sum[r][q] += __shfl_xor_sync(0xffffffffu, sum[r][q], offset * LaneRows * LaneColumns);
  if (!here || share > 0) return;
#pragma unroll
  for (int r = 0; r < 4; ++r)
    *reinterpret_cast<float4*>(c + (i + LaneRows * r) * s.ldc + j) = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
}

// One warp, 16 x 16 on tensor cores, sums in float.
template <class S>
__device__ __forceinline__ void tensor_tile(const S* a, const S* b, float* c, const ProductShape& s, int k0, int k1) {
  namespace wmma = nvcuda::wmma;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  if (s.begin) wmma::load_matrix_sync(sum, c, s.ldc, wmma::mem_row_major);
  else wmma::fill_fragment(sum, 0.0f);
#pragma unroll 4
  for (int k = k0; k < k1; k += 16) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, S, wmma::row_major> left;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, S, wmma::col_major> right;
    wmma::load_matrix_sync(left, a + k, s.lda);
    wmma::load_matrix_sync(right, b + k, s.ldb);
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::store_matrix_sync(c, sum, s.ldc, wmma::mem_row_major);
}

// partial [k_parts][rows][columns] (+)= operand weights, by all warps of the block; needs __syncthreads before and after.
template <class S>
__device__ __forceinline__ void multiply(const S* operand, const S* weights, float* partial, const ProductShape& s) {
  constexpr int kStep = static_cast<int>(k_step(Storage<S>::kType));
  const int warps = static_cast<int>(blockDim.x) / 32, warp = warp_number();
  const int width = static_cast<int>(column_tile(Storage<S>::kType, s.row_tile));
  const int column_tiles = (s.columns + width - 1) / width, tiles = s.rows / s.row_tile * column_tiles;
  for (int item = warp; item < tiles * s.k_parts; item += warps) {
    const int part = item / tiles, row = item % tiles / column_tiles * s.row_tile, column = item % column_tiles * width;
    const int k0 = s.depth / kStep * part / s.k_parts * kStep, k1 = s.depth / kStep * (part + 1) / s.k_parts * kStep;
    const S* a = operand + row * s.lda;
    const S* b = weights + weight_at<S>(s.begin, column, s.ldb);
    float* c = partial + (part * s.rows + row) * s.ldc + column;
    if constexpr (Storage<S>::kType == DType::float32) {
      const int left = s.columns - column;
      const bool few = lanes_sharing_k(DType::float32, s.row_tile, s.columns) > 1;
      if (s.row_tile == 4) few ? float_tile<1, 8>(a, b, c, s, k0, k1, left) : float_tile<1, 32>(a, b, c, s, k0, k1, left);
      else few ? float_tile<4, 2>(a, b, c, s, k0, k1, left) : float_tile<4, 8>(a, b, c, s, k0, k1, left);
    } else {
      tensor_tile(a, b, c, s, k0, k1);
    }
  }
}

}  // namespace seqgrad::cuda
