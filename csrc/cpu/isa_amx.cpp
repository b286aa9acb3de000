// The engine for AVX-512 with AMX's tiles. They serve bfloat16 storage, and no projection: what it multiplies, o tanh(c), is
// not of that type; and float storage (isa_amx_float.cpp) of large layers. All else is AVX-512's.
#include "target_amx.h"

#if defined(SEQGRAD_ISA)
#include "passes.h"

namespace seqgrad::cpu {

namespace avx512 { extern const Engine kEngine; }

namespace amx_float {
void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel);
void backward(const Layer& p, const Backward& grads, const Parallel& parallel);
}  // namespace amx_float

namespace amx {

bool on_tiles(const Layer& p) { return p.dtype == DType::bfloat16 && !p.w_hr; }
// Where three parts of everything pay: enough rows, in the mean over the steps of a ragged batch, to fill tiles, and products beside
// which it is little to take rows apart. Few rows want large products, whose weights, half as large again as floats, a step need
// not read from far. By the layer alone: outputs are the same bits for any number of threads.
bool on_float_tiles(const Layer& p, bool backward) {
  constexpr int64_t kManyRows = 24, kLeastRows = 16, kLargeUnits = 128, kMostWeights = 1000000;
  const int64_t units = std::min(p.H, p.P), least_units = backward ? 128 : units % 32 ? 96 : 64;
  const bool few_will_do = units >= kLargeUnits && (backward || p.traits().gates * p.H * p.P <= kMostWeights);
  const int64_t least_rows = few_will_do ? kLeastRows : kManyRows;
  if (p.dtype != DType::float32 || p.N < least_rows || units < least_units) return false;
  int64_t steps = p.T * p.N;
  if (p.lengths) steps = std::accumulate(p.lengths, p.lengths + p.N, int64_t{0});
  return steps >= least_rows * p.T;
}

void forward(const Layer& p, const ForwardOut& out, const Parallel& parallel) {
  if (on_float_tiles(p, false)) return amx_float::forward(p, out, parallel);
  if (!on_tiles(p)) return avx512::kEngine.forward(p, out, parallel);
  const Split split = split_forward(p, parallel.threads);
  with_cell<BFloat16>(
      p, [&](auto cell) { ForwardPass<BFloat16, typename decltype(cell)::type>(p, out).run(parallel, split.slices, split.team); });
}

void backward(const Layer& p, const Backward& grads, const Parallel& parallel) {
  if (on_float_tiles(p, true)) return amx_float::backward(p, grads, parallel);
  if (!on_tiles(p)) return avx512::kEngine.backward(p, grads, parallel);
  const Split split = split_backward(p, parallel.threads, grads.dw_hh, grads.norms);
  with_cell<BFloat16>(
      p, [&](auto cell) { BackwardPass<BFloat16, typename decltype(cell)::type>(p, grads).run(parallel, split.slices, split.team); });
}

void row_figures(const Rows& rows, const Parallel& parallel) { avx512::kEngine.row_figures(rows, parallel); }
void gate_figures(const GateEnds& gates) { avx512::kEngine.gate_figures(gates); }
const char* path(const Layer& p, bool backward) {
  return on_tiles(p) || on_float_tiles(p, backward) ? SEQGRAD_ISA_NAME : avx512::kEngine.name;
}

extern const Engine kEngine;
const Engine kEngine{SEQGRAD_ISA_NAME, forward, backward, row_figures, gate_figures, path};

}  // namespace amx
}  // namespace seqgrad::cpu
#endif

#include "target_end.h"
