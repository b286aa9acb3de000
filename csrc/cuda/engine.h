// One layer and direction on a CUDA device: projection, recurrence along the planned path, weight gradients, norms.
// No torch: memory, products and the stream come from the caller.
#pragma once

#include <string>

#include "../core/layer.h"
#include "plan.h"

namespace seqgrad::cuda {

// A matrix in device memory, dense in one of its two indices. Strides count elements.
struct Matrix {
  void* data;
  int64_t rows, columns, row_stride, column_stride;
  DType dtype;
};

struct Context {
  void* stream = nullptr;  // cudaStream_t
  int device = 0;          // made current by the caller
  DeviceLimits limits;
  std::string wish = "auto";                               // SEQGRAD_CUDA_PATH
  void* self = nullptr;                                    // given to the two functions below
  void* (*allocate)(void* self, int64_t bytes) = nullptr;  // device memory, alive until the call returns
  void (*multiply)(void* self, const Matrix& out, const Matrix& a, const Matrix& b) = nullptr;  // out = a b, on the stream
  void (*warn)(const char* line) = nullptr;  // told when a path is found wrong, beside stderr
};

// As cpu::Engine, with two differences: all pointers are to device memory, Layer::lengths included (values beyond
// [0, T] count as the nearer end: looking at them here would cost a synchronisation), and work is only queued.
// Throws std::runtime_error with the CUDA runtime's own message.
void forward(const Layer& layer, const ForwardOut& out, const Context& context);
void backward(const Layer& layer, const Backward& grads, const Context& context);

}  // namespace seqgrad::cuda
