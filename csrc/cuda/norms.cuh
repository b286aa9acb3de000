// Sums of squares over the lanes of a warp, right for any magnitude: a plain float square is zero below 3e-23 and
// infinite above 1.8e19, and vanishing and exploding gradients are what the norms are for.
#pragma once

#include <cstring>

#include "runtime.h"

namespace seqgrad::cuda {

constexpr unsigned kWarp = 0xffffffffu;

template <class T>
__device__ __forceinline__ T segment_sum(T value, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(kWarp, value, offset);
  return value;
}

// The largest magnitude of a segment, as the bits of a float: they order as the magnitudes do, NaN above infinity.
__device__ __forceinline__ unsigned segment_largest(float v, int lanes) {
  const float magnitude = ::fabsf(v);
  unsigned bits;
  memcpy(&bits, &magnitude, sizeof(bits));
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if (lanes == 32) return __reduce_max_sync(kWarp, bits);
#endif
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    const unsigned other = __shfl_xor_sync(kWarp, bits, offset);
    bits = other > bits ? other : bits;
  }
  return bits;
}

// Sum of v^2 over each segment of `lanes` (a power of two, at most 32). All lanes of the warp take part; the result is
// valid in the first lane of a segment. Values are scaled by a power of two taken from the largest, which is exact, and
// only the sum goes to double, whose throughput on small devices is a 64th of float's. NaN and infinity come through.
__device__ __forceinline__ double segment_squares(float v, int lanes) {
  constexpr int kBias = 127, kLeast = 1, kMost = 253;  // 2^-exponent must be a normal float
  const int field = static_cast<int>(segment_largest(v, lanes) >> 23);
  const bool finite = field < 255;
  const int exponent = finite ? (field < kLeast ? kLeast : (field > kMost ? kMost : field)) - kBias : 0;
  const float scaled = v * ::ldexpf(1.0f, -exponent);
  const float sum = segment_sum(scaled * scaled, lanes);
  return static_cast<int>(threadIdx.x) % lanes == 0 ? ::ldexp(static_cast<double>(sum), 2 * exponent) : 0.0;
}

}  // namespace seqgrad::cuda
