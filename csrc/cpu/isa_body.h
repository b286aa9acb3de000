// The engine, compiled once per instruction set: included by isa_*.cpp behind their target pragma. No include guard.
#include "passes.h"
#include "figures.h"

namespace seqgrad::cpu::SEQGRAD_ISA {

template <class Run>
void with_storage(DType dtype, Run&& run) {
  switch (dtype) {
    case DType::float32: return run(std::type_identity<float>{});
    case DType::float64: return run(std::type_identity<double>{});
    case DType::bfloat16: return run(std::type_identity<BFloat16>{});
    case DType::float16: return run(std::type_identity<Half>{});
  }
}

template <class Run>
void with_types(const Layer& p, Run&& run) {
  with_storage(p.dtype, [&](auto storage) { with_cell<typename decltype(storage)::type>(p, [&](auto c) { run(storage, c); }); });
}

void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel) {
  const Split split = split_forward(p, parallel.threads);
  with_types(p, [&](auto storage, auto cell) {
    ForwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, out).run(parallel, split.slices, split.team);
  });
}

void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  const Split split = split_backward(p, parallel.threads, grads.dw_hh, grads.norms);
  with_types(p, [&](auto storage, auto cell) {
    BackwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, grads).run(parallel, split.slices, split.team);
  });
}

void row_figures(const Rows& rows, const Parallel& parallel) {
  with_storage(rows.dtype, [&](auto storage) { figures_of_rows<typename decltype(storage)::type>(rows, parallel); });
}

void gate_figures(const GateEnds& gates) { gates.wide ? figures_of_gates<double>(gates) : figures_of_gates<float>(gates); }

const char* path(const Layer&, bool) { return SEQGRAD_ISA_NAME; }

extern const Engine kEngine;
const Engine kEngine{SEQGRAD_ISA_NAME, forward, backward, row_figures, gate_figures, path};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
