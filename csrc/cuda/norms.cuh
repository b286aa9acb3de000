// Sums of squares over the lanes of a warp, right for any magnitude: a plain float square is zero below 3e-23 and
// infinite above 1.8e19, and vanishing and exploding gradients are what the norms are for.
#pragma once

#include "runtime.h"

namespace seqgrad::cuda {

constexpr unsigned kWarp = 0xffffffffu;

template <class T>
__device__ __forceinline__ T segment_sum(T value, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kWarp, value, offset);
  return value;
}

// Sum of v^2 over each segment of `lanes` (a power of two, at most 32). All lanes of the warp take part; the result is
// valid in the first lane of a segment. Values are scaled by a power of two taken from the largest, which is exact, and
// only the sum goes to double, whose throughput on small devices is a 64th of float's. NaN and infinity come through.
__device__ __forceinline__ double segment_squares(float v, int lanes) {
  float most = ::fabsf(v);
  for (int offset = lanes / 2; offset > 0; offset /= 2) most = ::fmaxf(most, __shfl_xor_sync(kWarp, most, offset));
  const bool scalable = most > 0.0f && most < INFINITY;
  int exponent = scalable ? ::ilogbf(most) : 0;
  exponent = exponent < -126 ? -126 : (exponent > 126 ? 126 : exponent);  // 2^-exponent must be a float
  const float scaled = v * ::ldexpf(1.0f, -exponent);
  const float sum = segment_sum(scaled * scaled, lanes);
  return static_cast<int>(threadIdx.x) % lanes == 0 ? ::ldexp(static_cast<double>(sum), 2 * exponent) : 0.0;
}

}  // namespace seqgrad::cuda
