// The calls of the CUDA runtime that launchers and the engine use, on host memory. Streams run at once, in order.
#include "cudart.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

#include "control.h"

namespace {

using seqgrad::emulator::device;

cudaError_t pending = cudaSuccess;
std::string why;   // of the last refusal
std::string text;  // what cudaGetErrorString last handed out
cudaError_t why_code = cudaSuccess;
std::map<const void*, int64_t> attributes;
bool capturing = false;

cudaError_t remember(cudaError_t code) {
  if (code != cudaSuccess) pending = code;
  return code;
}

const char* plain_text(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorCooperativeLaunchTooLarge: return "too many blocks in cooperative launch";
    case cudaErrorNotSupported: return "operation not supported";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    default: return "an error that the emulator has no words for";
  }
}

int attribute(cudaDeviceAttr which) {
  const auto& d = device();
  switch (which) {
    case cudaDevAttrComputeCapabilityMajor: return d.major;
    case cudaDevAttrComputeCapabilityMinor: return d.minor;
    case cudaDevAttrMultiProcessorCount: return d.multiprocessors;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: return int(d.shared_per_block);
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: return int(d.shared_per_multiprocessor);
    case cudaDevAttrMaxRegistersPerMultiprocessor: return int(d.registers_per_multiprocessor);
    case cudaDevAttrL2CacheSize: return int(d.l2_bytes);
    case cudaDevAttrCooperativeLaunch: return d.cooperative_launch;
    case cudaDevAttrWarpSize: return 32;
    case cudaDevAttrMaxThreadsPerBlock: return 1024;
    case cudaDevAttrMaxSharedMemoryPerBlock: return 48 * 1024;
    default: return -1;
  }
}

}  // namespace

namespace seqgrad::emulator {

int64_t opted_in(const void* kernel) {
  const auto found = attributes.find(kernel);
  return found == attributes.end() ? 0 : found->second;
}

void set_refusal(cudaError_t code, const std::string& reason) { why_code = pending = code, why = reason; }
const std::string& last_refusal() { return why; }

void set_capturing(bool on) { capturing = on; }

}  // namespace seqgrad::emulator

extern "C" {

cudaError_t cudaGetLastError() { return std::exchange(pending, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return pending; }

const char* cudaGetErrorString(cudaError_t error) {
  text = plain_text(error);
  if (error != cudaSuccess && error == why_code) text += " (" + why + ")";
  return text.c_str();
}

const char* cudaGetErrorName(cudaError_t error) { return plain_text(error); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* index) {
  *index = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) { return remember(index == 0 ? cudaSuccess : cudaErrorInvalidDevice); }

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int index) {
  if (index != 0) return remember(cudaErrorInvalidDevice);
  *value = attribute(which);
  return remember(*value >= 0 ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute which, int value) {
  if (which != cudaFuncAttributeMaxDynamicSharedMemorySize) return remember(cudaErrorInvalidValue);
  if (value < 0 || value > device().shared_per_block) {
    seqgrad::emulator::set_refusal(
        cudaErrorInvalidValue,
        "shared memory of " + std::to_string(value) + " bytes per block, the device has " + std::to_string(device().shared_per_block));
    return cudaErrorInvalidValue;
  }
  attributes[kernel] = value;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (bytes && (!to || !from)) return remember(cudaErrorInvalidValue);
  if (bytes) std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width, size_t height, cudaMemcpyKind,
                              cudaStream_t) {
  if (width > to_pitch || width > from_pitch) return remember(cudaErrorInvalidValue);
  for (size_t row = 0; row < height && width; ++row)
    std::memcpy(static_cast<char*>(to) + row * to_pitch, static_cast<const char*>(from) + row * from_pitch, width);
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t) {
  if (bytes && !to) return remember(cudaErrorInvalidValue);
  if (bytes) std::memset(to, value, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) { return cudaMemsetAsync(to, value, bytes, nullptr); }

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  *memory = std::malloc(bytes ? bytes : 1);
  if (!*memory) return remember(cudaErrorMemoryAllocation);
  std::memset(*memory, 0xff, bytes);
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}

cudaError_t cudaMallocAsync(void** memory, size_t bytes, cudaStream_t) { return cudaMalloc(memory, bytes); }
cudaError_t cudaFreeAsync(void* memory, cudaStream_t) { return cudaFree(memory); }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return remember(capturing ? cudaErrorStreamCaptureUnsupported : cudaSuccess); }
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }

cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

}  // extern "C"
