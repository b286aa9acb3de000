// The engine for AVX-512 with AMX's tiles. They serve bfloat16 storage, and no projection: what it multiplies, o tanh(c), is
// not of that type. All else is AVX-512's.
#include "target_amx.h"

#if defined(SEQGRAD_ISA)
#include "passes.h"

namespace seqgrad::cpu {

namespace avx512 { extern const Engine kEngine; }

namespace amx {

bool on_tiles(const Layer& p) { return p.dtype == DType::bfloat16 && !p.w_hr; }

void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel) {
  if (!on_tiles(p)) return avx512::kEngine.forward(p, out, parallel);
  const Split split = split_forward(p, parallel.threads);
  with_cell<BFloat16>(
      p, [&](auto cell) { ForwardPass<BFloat16, typename decltype(cell)::type>(p, out).run(parallel, split.slices, split.team); });
}

void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  if (!on_tiles(p)) return avx512::kEngine.backward(p, grads, parallel);
  const Split split = split_backward(p, parallel.threads, grads.dw_hh, grads.norms);
  with_cell<BFloat16>(
      p, [&](auto cell) { BackwardPass<BFloat16, typename decltype(cell)::type>(p, grads).run(parallel, split.slices, split.team); });
}

void row_figures(const Rows& rows, const Parallel& parallel) { avx512::kEngine.row_figures(rows, parallel); }
void gate_figures(const GateEnds& gates) { avx512::kEngine.gate_figures(gates); }
const char* path(const Layer& p) { return on_tiles(p) ? SEQGRAD_ISA_NAME : avx512::kEngine.name; }

extern const Engine kEngine;
const Engine kEngine{SEQGRAD_ISA_NAME, forward, backward, row_figures, gate_figures, path};

}  // namespace amx
}  // namespace seqgrad::cpu
#endif

#include "target_end.h"
