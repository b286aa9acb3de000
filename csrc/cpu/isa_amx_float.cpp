// The engine for AMX's tiles on float storage: isa_amx.cpp says for which layers.
#define SEQGRAD_AMX_FLOAT 1
#include "target_amx.h"

#if defined(SEQGRAD_ISA)
#include "passes.h"

namespace seqgrad::cpu::amx_float {

void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel) {
  const Split split = split_forward(p, parallel.threads);
  with_cell<float>(p,
                   [&](auto cell) { ForwardPass<float, typename decltype(cell)::type>(p, out).run(parallel, split.slices, split.team); });
}

void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  const Split split = split_backward(p, parallel.threads, grads.dw_hh, grads.norms);
  with_cell<float>(
      p, [&](auto cell) { BackwardPass<float, typename decltype(cell)::type>(p, grads).run(parallel, split.slices, split.team); });
}

}  // namespace seqgrad::cpu::amx_float
#endif

#include "target_end.h"
