// The engine's two calls: the empty batch, the plan, and whether its path has earned trust on this device.
#include "engine.h"

#include "matrix.h"
#include "run.h"

namespace seqgrad::cuda {
namespace {

// The gradients of a batch without samples: sums of nothing.
void zero_weight_gradients(const Layer& p, const Backward& grads, const Context& context) {
  const int64_t rows = p.traits().gates * p.H;
  const auto clear = [&](void* to, int64_t count) {
    if (to && count) check(cudaMemsetAsync(to, 0, count * element_size(p.dtype), stream_of(context)), "cudaMemsetAsync");
  };
  clear(grads.dw_ih, rows * p.I);
  clear(grads.dw_hh, rows * p.P);
  clear(grads.dw_hr, p.P * p.H);
  clear(grads.db_ih, rows);
  clear(grads.db_hh, rows);
}

}  // namespace

void forward(const Layer& layer, const ForwardOut& out, const Context& context) {
  if (layer.N == 0) return;
  run_forward(layer, out, context, plan_for(layer, Pass::forward, context), ResidentKernels{});
}

void backward(const Layer& layer, const Backward& grads, const Context& context) {
  if (layer.N == 0) return zero_weight_gradients(layer, grads, context);
  run_backward(layer, grads, context, plan_for(layer, Pass::backward, context), ResidentKernels{});
}

}  // namespace seqgrad::cuda
