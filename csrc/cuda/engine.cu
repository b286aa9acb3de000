// The engine's two calls: the empty batch, the plan, and whether its path is to be trusted on this device.
#include "engine.h"

#include "matrix.h"
#include "self_check.h"

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

Plan trusted_plan(const Layer& layer, Pass pass, const Context& context, Trust& trust) {
  const Plan plan = plan_for(layer, pass, context);
  return plan.path == Path::step || trust.trusts(context, layer.cell, layer.dtype, plan.path) ? plan : Plan{};
}

Trust& trust_of_process() {
  static Trust trust;
  return trust;
}

}  // namespace

void forward(const Layer& layer, const ForwardOut& out, const Context& context, Trust& trust) {
  if (layer.N == 0) return;
  run_forward(layer, out, context, trusted_plan(layer, Pass::forward, context, trust), trust.kernels);
}

void backward(const Layer& layer, const Backward& grads, const Context& context, Trust& trust) {
  if (layer.N == 0) return zero_weight_gradients(layer, grads, context);
  run_backward(layer, grads, context, trusted_plan(layer, Pass::backward, context, trust), trust.kernels);
}

void forward(const Layer& layer, const ForwardOut& out, const Context& context) { forward(layer, out, context, trust_of_process()); }

void backward(const Layer& layer, const Backward& grads, const Context& context) { backward(layer, grads, context, trust_of_process()); }

}  // namespace seqgrad::cuda
