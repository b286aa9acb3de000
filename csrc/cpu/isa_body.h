// The engine, compiled once per instruction set: included by isa_*.cpp behind their target pragma. No include guard.
#include "../core/layer.h"
#include "../core/norm.h"
#include "engine.h"
#include "simd.h"
#include "gemm.h"
#include "blocked.h"
#include "rows.h"
#include "forward.h"
#include "backward.h"

namespace seqgrad::cpu::SEQGRAD_ISA {

// Below this many multiply-adds a second thread costs more than it brings.
constexpr double kWorkPerThread = 1e6;

// A slice holds its own weight gradients; this bounds their sum.
constexpr int64_t kMostGradientBytes = int64_t(1) << 30;

inline int64_t slices_for(const Layer& p, const Parallel& parallel, bool weight_gradients) {
  const double weights = double(p.traits().gates) * p.H * (p.I + p.P), work = weights * p.T * p.N;
  int64_t count = parallel.threads < p.N ? parallel.threads : p.N;
  if (work < kWorkPerThread * count) count = int64_t(work / kWorkPerThread);
  if (weight_gradients && double(count) * weights * 4 > double(kMostGradientBytes)) count = int64_t(kMostGradientBytes / (weights * 4));
  return count < 1 ? 1 : count;
}

template <class S, class Run>
void with_cell(const Layer& p, Run&& run) {
  switch (p.cell) {
#define SEQGRAD_CELL(name, type) \
  case CellId::name: return run(std::type_identity<type>{});
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
}

template <class Run>
void with_types(const Layer& p, Run&& run) {
  const auto cell = [&](auto storage) { with_cell<typename decltype(storage)::type>(p, [&](auto c) { run(storage, c); }); };
  switch (p.dtype) {
    case DType::float32: return cell(std::type_identity<float>{});
    case DType::float64: return cell(std::type_identity<double>{});
    case DType::bfloat16: return cell(std::type_identity<BFloat16>{});
    case DType::float16: return cell(std::type_identity<Half>{});
  }
}

void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel) {
  with_types(p, [&](auto storage, auto cell) {
    ForwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, out).run(parallel, slices_for(p, parallel, false));
  });
}

void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  with_types(p, [&](auto storage, auto cell) {
    BackwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, grads).run(parallel,
                                                                                                slices_for(p, parallel, grads.dw_hh));
  });
}

extern const Engine kEngine;
const Engine kEngine{SEQGRAD_ISA_NAME, forward, backward};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
