// The resident kernels in float16.
#include "resident_launch.cuh"

namespace seqgrad::cuda {

template cudaError_t launch_forward_as<__half>(CellId, Path, const ResidentForward&, int64_t, cudaStream_t);
template cudaError_t launch_backward_as<__half>(CellId, Path, const ResidentBackward&, int64_t, cudaStream_t);

}  // namespace seqgrad::cuda
