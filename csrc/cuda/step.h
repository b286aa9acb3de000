// Path `step`: per time step one product through Context::multiply and one fused pointwise kernel (with a projected
// state: two of each). Any size, any dtype, any device; what the resident paths fall back to and are checked against.
// Carries (h, c, dh, dc) stay in the arithmetic type A in device memory; operands of products are of storage type S.
#pragma once

#include "engine.h"

namespace seqgrad::cuda {

// `wx` [T, N, G*H]: W_ih x_t, no bias, in S. Fills all of `to`.
void step_forward(const Layer& layer, const ForwardOut& to, const void* wx, const Context& context);

// What the recurrence leaves for the weight gradients; all of it zero beyond a sample's length.
struct StepGradients {
  void* dz = nullptr;         // [T, N, planes, H] in S
  void* projected = nullptr;  // [T, N, P] in S: gradient of the projected state; null: dw_hr is not wanted
  void* cells = nullptr;      // [T, N, H] in S: o tanh(c), what the projection saw; null likewise
};

// Fills dh0, dc0, norms and `left`.
void step_backward(const Layer& layer, const Backward& grads, const StepGradients& left, const Context& context);

}  // namespace seqgrad::cuda
