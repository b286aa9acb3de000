// The CUDA runtime as the kernels and launchers know it: nvcc's own headers, or the host emulator of tests/emulator,
// which offers the same names to a plain C++ compiler. No other file here asks which of the two it is.
#pragma once

#if defined(SEQGRAD_EMULATOR)
#include "emulator.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <cuda_runtime.h>
#include <mma.h>

#include <cuda/atomic>

namespace seqgrad::cuda {

// Arrays in dynamic shared memory, taken one after the other in the same order by every thread of a block.
// (The emulator's version gives each array a heap block of its exact size.)
class Shared {
 public:
  __device__ Shared() {
    extern __shared__ __align__(128) unsigned char memory[];
    next = memory;
  }
  template <class T>
  __device__ T* take(int64_t count) {
    T* array = reinterpret_cast<T*>(next);
    next += (count * sizeof(T) + 127) / 128 * 128;
    return array;
  }

 private:
  unsigned char* next;
};

// 16 bytes from device memory, past the L1 cache, into shared memory: there for this thread after copy_async_wait().
__device__ __forceinline__ void copy_async_16(void* shared, const void* global) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
  *static_cast<uint4*>(shared) = __ldcg(static_cast<const uint4*>(global));
#else
  __pipeline_memcpy_async(shared, global, 16);
#endif
}

__device__ __forceinline__ void copy_async_wait() {
  __pipeline_commit();
  __pipeline_wait_prior(0);
}

// One counter per group of blocks, on a cache line of its own.
using AtomicCounter = ::cuda::atomic_ref<unsigned, ::cuda::thread_scope_device>;
constexpr auto kRelease = ::cuda::std::memory_order_release;
constexpr auto kAcquire = ::cuda::std::memory_order_acquire;

// launch(kernel, ...) for kernels that take one plain struct. Errors come back as the runtime gives them.
template <class Params>
cudaError_t launch(void (*kernel)(Params), dim3 grid, int threads, int64_t shared, cudaStream_t stream, Params params, bool cooperative) {
  void* arguments[] = {&params};
  const void* function = reinterpret_cast<const void*>(kernel);
  if (shared > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return error;
  }
  const size_t bytes = static_cast<size_t>(shared);
  return cooperative ? cudaLaunchCooperativeKernel(function, grid, dim3(threads), arguments, bytes, stream)
                     : cudaLaunchKernel(function, grid, dim3(threads), arguments, bytes, stream);
}

}  // namespace seqgrad::cuda
#endif
