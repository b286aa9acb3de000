// Resident launches by storage type; the kernels of each type are compiled in a file of their own.
#include "resident.h"

namespace seqgrad::cuda {

template <class S> cudaError_t launch_forward_as(CellId, Path, const ResidentForward&, int64_t, cudaStream_t);
template <class S> cudaError_t launch_backward_as(CellId, Path, const ResidentBackward&, int64_t, cudaStream_t);

cudaError_t launch_forward(CellId cell, DType dtype, Path path, const ResidentForward& p, int64_t shared, cudaStream_t stream) {
  switch (dtype) {
    case DType::float32: return launch_forward_as<float>(cell, path, p, shared, stream);
    case DType::float16: return launch_forward_as<__half>(cell, path, p, shared, stream);
    case DType::bfloat16: return launch_forward_as<__nv_bfloat16>(cell, path, p, shared, stream);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t launch_backward(CellId cell, DType dtype, Path path, const ResidentBackward& p, int64_t shared, cudaStream_t stream) {
  switch (dtype) {
    case DType::float32: return launch_backward_as<float>(cell, path, p, shared, stream);
    case DType::float16: return launch_backward_as<__half>(cell, path, p, shared, stream);
    case DType::bfloat16: return launch_backward_as<__nv_bfloat16>(cell, path, p, shared, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace seqgrad::cuda
