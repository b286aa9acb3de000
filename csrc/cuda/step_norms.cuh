// Sums of squares over the units of a sample, taken by one block, right for any magnitude of the values.
//
// A plain square is zero below 1e-23 and infinite above 1e19 in float. Large and small values are therefore summed apart,
// scaled by powers of two, which is exact (Blue, 1978). No double arithmetic for float: small devices are slow at it.
#pragma once

#include "math.cuh"

namespace seqgrad::cuda {

template <class A> struct SquareScale;
// clang-format off
template <> struct SquareScale<float>  { static constexpr float  kLarge = 0x1p50f,  kDown = 0x1p-78f,  kSmall = 0x1p-50f,  kUp = 0x1p99f; };
template <> struct SquareScale<double> { static constexpr double kLarge = 0x1p450,  kDown = 0x1p-550,  kSmall = 0x1p-450,  kUp = 0x1p600; };
// clang-format on

// The root of a sum of squares as root * scale: with float values it may be above float's range.
template <class A>
struct Length {
  A root, scale;
  __device__ __forceinline__ A value() const { return root * scale; }
};

template <class A>
struct SquareSum {
  using Scale = SquareScale<A>;
  A large = 0, middle = 0, small = 0;  // NaN goes to the middle, infinity to the large ones

  __device__ __forceinline__ void add(A v) {
    const A size = v < A(0) ? -v : v;
    const bool is_large = size > Scale::kLarge, is_small = size < Scale::kSmall;
    const A scaled = v * (is_large ? Scale::kDown : (is_small ? Scale::kUp : A(1))), square = scaled * scaled;
    large += is_large ? square : A(0);
    small += is_small ? square : A(0);
    middle += is_large || is_small ? A(0) : square;
  }

  __device__ __forceinline__ Length<A> length() const {
    if (large > A(0)) return {root(large + middle * Scale::kDown * Scale::kDown), A(1) / Scale::kDown};
    if (middle != A(0)) return {root(middle + small / Scale::kUp / Scale::kUp), A(1)};
    return {root(small), A(1) / Scale::kUp};
  }

 private:
  static __device__ __forceinline__ float root(float v) { return ::sqrtf(v); }
  static __device__ __forceinline__ double root(double v) { return ::sqrt(v); }
};

// Every value summed over the block, in fixed order, in every thread. `scratch`: Count per warp, used by this call alone.
template <int Count, class A>
__device__ __forceinline__ void block_sums(A (&values)[Count], A* scratch) {
  const int warps = static_cast<int>(blockDim.x) / 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    for (int offset = 16; offset > 0; offset /= 2) values[i] += __shfl_xor_sync(0xffffffffu, values[i], offset);
    if (threadIdx.x % 32 == 0) scratch[i * warps + warp] = values[i];
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    values[i] = scratch[i * warps];
    for (int w = 1; w < warps; ++w) values[i] += scratch[i * warps + w];
  }
}

}  // namespace seqgrad::cuda
