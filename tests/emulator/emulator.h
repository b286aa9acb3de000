// CUDA for a plain C++ compiler, as far as csrc/cuda needs it: every CUDA thread becomes a fiber. Types, error codes and
// 16-bit arithmetic come from NVIDIA's own headers; this file stands in for nvcc's keywords and built-in functions.
// Test infrastructure, not a backend. csrc/cuda/runtime.h includes it under SEQGRAD_EMULATOR; see README.md here.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "control.h"
#include "runtime_calls.h"
#include "wmma.h"

// NVIDIA's headers make __global__, __device__ and __host__ empty and __forceinline__ what g++ has for it.
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ static_assert(false, "take shared memory through seqgrad::cuda::Shared: a static array has no meaning here");

#define threadIdx (::seqgrad::emulator::position->thread)
#define blockIdx (::seqgrad::emulator::position->block)
#define blockDim (::seqgrad::emulator::position->block_dim)
#define gridDim (::seqgrad::emulator::position->grid_dim)
constexpr int warpSize = 32;

#define SEQGRAD_HERE const ::seqgrad::emulator::Where& where = ::seqgrad::emulator::Where::current()

inline void __syncthreads(SEQGRAD_HERE) { ::seqgrad::emulator::sync_threads(where); }
inline void __syncwarp(unsigned mask = 0xffffffffu, SEQGRAD_HERE) { ::seqgrad::emulator::sync_warp(mask, where); }
inline void __threadfence(SEQGRAD_HERE) { ::seqgrad::emulator::fence(where); }
inline void __threadfence_block(SEQGRAD_HERE) { ::seqgrad::emulator::fence(where); }
inline void __nanosleep(unsigned, SEQGRAD_HERE) { ::seqgrad::emulator::fence(where); }

namespace seqgrad::emulator {

template <class T>
T exchange(unsigned mask, T value, int source, const Where& where) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = shuffle(mask, bits, source, where);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// A width is a power of two up to 32: lanes shuffle within segments of that width.
inline int segment(int width, const Where& where) {
  if (width <= 0 || width > 32 || !std::has_single_bit(unsigned(width)))
    fail_at(where, "the width of a shuffle must be a power of two up to 32");
  return lane() / width * width;
}

template <class T>
void check_aligned(const T* address, const Where& where) {
  if (reinterpret_cast<uintptr_t>(address) % sizeof(T)) fail_at(where, "misaligned address");
}

}  // namespace seqgrad::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, SEQGRAD_HERE) {
  const int first = ::seqgrad::emulator::segment(width, where);
  return ::seqgrad::emulator::exchange(mask, value, first + (source & (width - 1)), where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, SEQGRAD_HERE) {
  const int first = ::seqgrad::emulator::segment(width, where), source = ::seqgrad::emulator::lane() ^ lanes;
  return ::seqgrad::emulator::exchange(mask, value, source < first + width ? source : ::seqgrad::emulator::kOwnLane, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SEQGRAD_HERE) {
  const int first = ::seqgrad::emulator::segment(width, where), source = ::seqgrad::emulator::lane() + int(delta);
  return ::seqgrad::emulator::exchange(mask, value, source < first + width ? source : ::seqgrad::emulator::kOwnLane, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SEQGRAD_HERE) {
  const int first = ::seqgrad::emulator::segment(width, where), source = ::seqgrad::emulator::lane() - int(delta);
  return ::seqgrad::emulator::exchange(mask, value, source >= first ? source : ::seqgrad::emulator::kOwnLane, where);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, SEQGRAD_HERE) {
  return ::seqgrad::emulator::ballot(mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, SEQGRAD_HERE) { return ::seqgrad::emulator::ballot(mask, predicate != 0, where) != 0; }
inline int __all_sync(unsigned mask, int predicate, SEQGRAD_HERE) {
  return ::seqgrad::emulator::ballot(mask, predicate != 0, where) == mask;
}

// Loads and stores at L2, the level that all blocks share. Plain accesses here; TSan sees them.
template <class T>
T __ldcg(const T* address, SEQGRAD_HERE) {
  ::seqgrad::emulator::check_aligned(address, where);
  return *address;
}
template <class T>
void __stcg(T* address, std::type_identity_t<T> value, SEQGRAD_HERE) {
  ::seqgrad::emulator::check_aligned(address, where);
  *address = value;
}
template <class T>
T __ldg(const T* address, SEQGRAD_HERE) {
  ::seqgrad::emulator::check_aligned(address, where);
  return *address;
}

namespace seqgrad::cuda {

// An asynchronous copy takes place at the latest legal moment: when its thread waits for it.
inline void copy_async_16(void* shared, const void* global, SEQGRAD_HERE) {
  emulator::check_aligned(static_cast<uint4*>(shared), where);
  emulator::check_aligned(static_cast<const uint4*>(global), where);
  emulator::copy_later(shared, global);
}
inline void copy_async_wait() {
  for (emulator::Copy copy{}; emulator::next_copy(&copy);) *static_cast<uint4*>(copy.to) = *static_cast<const uint4*>(copy.from);
}

// Each array is filled with NaN and has red zones around it; threads of a block must agree on the sizes.
class Shared {
 public:
  template <class T>
  T* take(int64_t count, SEQGRAD_HERE) {
    const int64_t bytes = count * int64_t(sizeof(T));
    void* array = emulator::take_shared(index++, offset, bytes, where);
    offset += (bytes + 127) / 128 * 128;
    return static_cast<T*>(array);
  }

 private:
  int index = 0;
  int64_t offset = 0;
};

enum class MemoryOrder : int { relaxed, acquire, release, acquire_release };
constexpr MemoryOrder kRelaxed = MemoryOrder::relaxed, kAcquire = MemoryOrder::acquire, kRelease = MemoryOrder::release;

// A thread that loads again before any counter has changed waits until one does: that is how spinning ends.
class AtomicCounter {
 public:
  explicit AtomicCounter(unsigned& counter) : value(&counter) {}

  unsigned fetch_add(unsigned by, MemoryOrder order = MemoryOrder::acquire_release, SEQGRAD_HERE) const {
    return emulator::counter_add(value, by, acquires(order), releases(order), where);
  }
  unsigned load(MemoryOrder order = kAcquire, SEQGRAD_HERE) const { return emulator::counter_load(value, acquires(order), where); }
  void store(unsigned to, MemoryOrder order = kRelease, SEQGRAD_HERE) const { emulator::counter_store(value, to, releases(order), where); }

 private:
  static bool acquires(MemoryOrder order) { return order == MemoryOrder::acquire || order == MemoryOrder::acquire_release; }
  static bool releases(MemoryOrder order) { return order == MemoryOrder::release || order == MemoryOrder::acquire_release; }
  unsigned* value;
};

// As csrc/cuda/runtime.h has it. What a device would refuse comes back as an error; what it would do wrong is thrown.
template <class Params>
cudaError_t launch(void (*kernel)(Params), dim3 grid, int threads, int64_t shared, cudaStream_t, Params params, bool cooperative) {
  const void* function = reinterpret_cast<const void*>(kernel);
  if (shared > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  const auto call = [](void* f, const void* p) { reinterpret_cast<void (*)(Params)>(f)(*static_cast<const Params*>(p)); };
  return static_cast<cudaError_t>(emulator::run_kernel(function, call, &params, grid, threads, shared, cooperative));
}

}  // namespace seqgrad::cuda

#undef SEQGRAD_HERE
