// Device facts from the CUDA runtime, attribute by attribute: cudaGetDeviceProperties changes layout between toolkits.
#include <cuda_runtime.h>

#include "../cells/cells.h"
#include "device.h"

namespace seqgrad::cuda {

const char* query_device(int index, DeviceLimits* limits) {
  cudaError_t error = cudaSuccess;
  const auto ask = [&](cudaDeviceAttr attribute) {
    int value = 0;
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&value, attribute, index);
    return value;
  };
  limits->major = ask(cudaDevAttrComputeCapabilityMajor);
  limits->minor = ask(cudaDevAttrComputeCapabilityMinor);
  limits->multiprocessors = ask(cudaDevAttrMultiProcessorCount);
  limits->shared_per_block = ask(cudaDevAttrMaxSharedMemoryPerBlockOptin);
  limits->shared_per_multiprocessor = ask(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
  limits->registers_per_multiprocessor = ask(cudaDevAttrMaxRegistersPerMultiprocessor);
  limits->l2_bytes = ask(cudaDevAttrL2CacheSize);
  limits->cooperative_launch = ask(cudaDevAttrCooperativeLaunch) != 0;
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* use_device(int index) {
  const cudaError_t error = cudaSetDevice(index);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

int device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

}  // namespace seqgrad::cuda
