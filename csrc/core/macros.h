// Host/device annotations shared by the formulas. Nothing here knows torch.
#pragma once

#if defined(__CUDACC__)
#define SEQGRAD_HD __host__ __device__ __forceinline__
#else
#define SEQGRAD_HD inline __attribute__((always_inline))
#endif
