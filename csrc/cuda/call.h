// What callers of the CUDA runtime do with its status. Nothing here launches anything.
#pragma once

#include <stdexcept>
#include <string>

#include "runtime.h"

namespace seqgrad::cuda {

// `call` names what failed; the runtime's own words follow.
inline void check(cudaError_t status, const char* call) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("seqgrad: ") + call + " failed: " + cudaGetErrorString(status));
}

}  // namespace seqgrad::cuda
