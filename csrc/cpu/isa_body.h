// The engine, compiled once per instruction set: included by isa_*.cpp behind their target pragma. No include guard.
#include "../core/layer.h"
#include "../core/norm.h"
#include "engine.h"
#include "simd.h"
#include "gemm.h"
#include "blocked.h"
#include "rows.h"
#include "team.h"
#include "forward.h"
#include "backward.h"

namespace seqgrad::cpu::SEQGRAD_ISA {

// How the threads are used: slices of the batch first; where there are fewer slices than threads, teams share one.
struct Split {
  int64_t slices;
  int team;
};

constexpr double kWorkPerThread = 1e6;    // multiply-adds below which another thread costs more than it brings
constexpr double kWorkPerStep = 65536;    // likewise per time step, where the members of a team meet
constexpr double kMostGradients = 2.7e8;  // a slice holds its own weight gradients; this bounds their number

inline Split split_of(const Layer& p, const Parallel& parallel, bool weight_gradients, bool may_team) {
  const double gates = p.traits().gates, weights = gates * p.H * (p.I + p.P), work = weights * p.T * p.N;
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(parallel.threads, int64_t(work / kWorkPerThread)));
  int64_t slices = std::min<int64_t>(threads, p.N);
  if (weight_gradients) slices = std::max<int64_t>(1, std::min<int64_t>(slices, int64_t(kMostGradients / weights)));
  const double step = gates * p.H * p.P * (double(p.N) / slices);
  const int64_t unit_blocks = (p.H + 15) / 16, team = std::min<int64_t>({threads / slices, int64_t(step / kWorkPerStep) + 1, unit_blocks});
  return {slices, may_team ? int(std::max<int64_t>(1, team)) : 1};
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
  const Split split = split_of(p, parallel, false, !p.w_hr);
  with_types(p, [&](auto storage, auto cell) {
    ForwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, out).run(parallel, split.slices, split.team);
  });
}

// A team leaves projection, clipping (needs the whole norm at once) and scaled fp64 norms to single threads.
void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  const bool may_team = !p.w_hr && p.clip == ClipKind::none && (p.dtype != DType::float64 || !grads.norms);
  const Split split = split_of(p, parallel, grads.dw_hh, may_team);
  with_types(p, [&](auto storage, auto cell) {
    BackwardPass<typename decltype(storage)::type, typename decltype(cell)::type>(p, grads).run(parallel, split.slices, split.team);
  });
}

extern const Engine kEngine;
const Engine kEngine{SEQGRAD_ISA_NAME, forward, backward};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
