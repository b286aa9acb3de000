// Numbers on the device: the storage types, the arithmetic type of each, and the functions that the cells ask for.
// No fast-math: a gate's derivative is wrong where tanh overshoots 1.
#pragma once

#include "../core/layer.h"
#include "runtime.h"

namespace seqgrad::cuda {

template <class S> struct Storage;
// clang-format off
template <> struct Storage<float>         { using Arithmetic = float;  static constexpr DType kType = DType::float32; };
template <> struct Storage<double>        { using Arithmetic = double; static constexpr DType kType = DType::float64; };
template <> struct Storage<__half>        { using Arithmetic = float;  static constexpr DType kType = DType::float16; };
template <> struct Storage<__nv_bfloat16> { using Arithmetic = float;  static constexpr DType kType = DType::bfloat16; };

template <class S> using ArithmeticOf = typename Storage<S>::Arithmetic;

__device__ __forceinline__ float  to_arithmetic(float v) { return v; }
__device__ __forceinline__ double to_arithmetic(double v) { return v; }
__device__ __forceinline__ float  to_arithmetic(__half v) { return __half2float(v); }
__device__ __forceinline__ float  to_arithmetic(__nv_bfloat16 v) { return __bfloat162float(v); }

template <class S> __device__ __forceinline__ S from_arithmetic(ArithmeticOf<S> v) { return v; }
template <> __device__ __forceinline__ __half from_arithmetic<__half>(float v) { return __float2half_rn(v); }
template <> __device__ __forceinline__ __nv_bfloat16 from_arithmetic<__nv_bfloat16>(float v) { return __float2bfloat16_rn(v); }
// clang-format on

// The number of this thread's warp, in a form by which the compiler knows that all its lanes agree: shuffles in loops and
// branches over it are then plain instructions, not calls.
__device__ __forceinline__ int warp_number() { return __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0); }

// An optional array: zero where it is not given.
template <class S>
__device__ __forceinline__ ArithmeticOf<S> read(const void* array, int64_t at) {
  return array ? to_arithmetic(static_cast<const S*>(array)[at]) : ArithmeticOf<S>(0);
}

// The M of csrc/cells.
template <class A> struct DeviceMath;

template <>
struct DeviceMath<float> {
  static __device__ __forceinline__ float constant(double v) { return static_cast<float>(v); }
  static __device__ __forceinline__ float tanh(float x) { return ::tanhf(x); }
  static __device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + ::expf(-x)); }
};

template <>
struct DeviceMath<double> {
  static __device__ __forceinline__ double constant(double v) { return v; }
  static __device__ __forceinline__ double tanh(double x) { return ::tanh(x); }
  static __device__ __forceinline__ double sigmoid(double x) { return 1.0 / (1.0 + ::exp(-x)); }
};

}  // namespace seqgrad::cuda
