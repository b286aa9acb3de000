// Kernels that the engine needs around the recurrence: dense rows from strided or ragged ones, zeros beyond lengths,
// column sums, conversions between storage and arithmetic type. All deterministic, all on the given stream.
#pragma once

#include "engine.h"
#include "runtime.h"

namespace seqgrad::cuda {

// to[t, n, :] = source row of (t, n), or zero beyond the sample's length. `to` is dense, [T, N, width].
struct Rows {
  int64_t T, N, width;
  const int64_t* lengths;      // [N] or null: all T
  const void* from;            // [T, N, width] with strides
  int64_t stride_t, stride_n;  // in elements
  const void* before;          // [N, width] or null. Given: the row of the step processed before, `before` at the first
  bool reverse;
  void* to;
};
void launch_gather(const Rows& rows, DType dtype, cudaStream_t stream);

// rows[t, n, :] = 0 beyond a sample's length, for the dense [T, N, width] array `rows`.
void launch_clear_padding(void* rows, const int64_t* lengths, int64_t T, int64_t N, int64_t width, DType dtype, cudaStream_t stream);

// to[i] = from[i], from storage to arithmetic type (`up`) or back.
void launch_convert(void* to, const void* from, int64_t count, DType dtype, bool up, cudaStream_t stream);

// Sums of dz [rows, planes, H] over its rows, as the gradients of the biases ([G*H], null: not wanted).
void sum_bias_gradients(void* db_ih, void* db_hh, const void* dz, int64_t rows, int64_t H, const CellTraits& traits, DType dtype,
                        const Context& context);

}  // namespace seqgrad::cuda
