// The time loop of path `step`, backward: pointwise kernel, product with W_hh to the step before, and again.
#include "step_backward.cuh"

#include <algorithm>
#include <tuple>

#include "matrix.h"
#include "step.h"
#include "types.h"

namespace seqgrad::cuda {
namespace {

constexpr int kThreads = 256;

struct Cut {  // one block per sample
  dim3 grid;
  int threads;
  int64_t warps;
  Cut(int64_t N, int64_t width)
      : grid(static_cast<unsigned>(N)), threads(static_cast<int>(std::min<int64_t>(round_up(width, 32), kThreads))), warps(threads / 32) {}
  template <class S>
  int64_t scratch(int sums) const {
    return sums * round_up(kStepScratch * warps * static_cast<int64_t>(sizeof(ArithmeticOf<S>)), 128);
  }
};

void launch_step(const Layer& layer, const BackwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.H);
  with_storage(layer.dtype, [&](auto storage) {
    with_cell(layer.cell, [&](auto cell) {
      using S = typename decltype(storage)::type;
      using Cell = typename decltype(cell)::type;
      check(launch(step_backward_kernel<S, Cell>, cut.grid, cut.threads, cut.scratch<S>(2), stream, p, false), "step_backward_kernel");
    });
  });
}

void launch_state(const Layer& layer, const BackwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.P);
  with_storage(layer.dtype, [&](auto storage) {
    using S = typename decltype(storage)::type;
    check(launch(step_state_kernel<S>, cut.grid, cut.threads, cut.scratch<S>(1), stream, p, false), "step_state_kernel");
  });
}

void launch_cell(const Layer& layer, const BackwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.H);
  with_storage(layer.dtype, [&](auto storage) {
    with_cell(layer.cell, [&](auto cell) {
      using S = typename decltype(storage)::type;
      using Cell = typename decltype(cell)::type;
      if constexpr (Cell::kTraits.states == 2)  // the only ones with a projection
        check(launch(step_cell_kernel<S, Cell>, cut.grid, cut.threads, cut.scratch<S>(1), stream, p, false), "step_cell_kernel");
    });
  });
}

void launch_leave(const Layer& layer, const BackwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.H);
  with_storage(layer.dtype, [&](auto storage) {
    using S = typename decltype(storage)::type;
    check(launch(step_leave_kernel<S>, cut.grid, cut.threads, 0, stream, p, false), "step_leave_kernel");
  });
}

BackwardStep unchanging(const Layer& layer, const Backward& grads) {
  BackwardStep p{};
  p.T = layer.T, p.N = layer.N, p.H = layer.H, p.P = layer.P, p.reverse = layer.reverse, p.scale = layer.scale, p.lengths = layer.lengths;
  p.h0 = layer.h0, p.c0 = layer.c0, p.out = grads.out, p.saved = grads.saved, p.grad_hn = grads.grad_hn, p.grad_cn = grads.grad_cn;
  p.grad_out_stride = grads.grad_out_stride_n;
  p.clip = layer.clip, p.clip_limit = layer.clip_limit;
  p.dh0 = grads.dh0, p.dc0 = grads.dc0, p.norms = grads.norms, p.rows = norm_rows(layer);
  return p;
}

}  // namespace

void step_backward(const Layer& layer, const Backward& grads, const StepGradients& left, const Context& context) {
  const auto [N, H, P, S, A] = std::tuple(layer.N, layer.H, layer.P, layer.dtype, arithmetic(layer.dtype));
  const CellTraits& traits = layer.traits();
  const int64_t rows = traits.gates * H, planes = traits.planes() * H;
  const cudaStream_t stream = stream_of(context);

  BackwardStep p = unchanging(layer, grads);
  p.dh = allocate(context, N * P, A);
  if (traits.bypass) p.bypass = allocate(context, N * H, A);
  if (traits.states == 2) p.dc = allocate(context, N * H, A);
  void* dm = layer.w_hr ? allocate(context, N * H, A) : nullptr;
  void* projected = layer.w_hr && !left.projected ? allocate(context, N * P, S) : nullptr;
  p.dm = dm;

  const Matrix w_hh = matrix(layer.w_hh, rows, P, S), w_hr = matrix(layer.w_hr, P, H, S);
  for (int64_t k = 0; k < layer.T; ++k) {
    p.t = layer.reverse ? k : layer.T - 1 - k;
    p.cut = layer.truncate > 0 && (layer.reverse ? p.t : p.t + 1) % layer.truncate == 0;
    p.grad_out = grads.grad_out ? at(grads.grad_out, p.t * grads.grad_out_stride_t, S) : nullptr;
    p.dz = at(left.dz, p.t * N * planes, S);
    if (layer.w_hr) {
      p.projected = left.projected ? at(left.projected, p.t * N * P, S) : projected;
      p.cells = left.cells ? at(left.cells, p.t * N * H, S) : nullptr;
      launch_state(layer, p, stream);
      multiply(context, matrix(dm, N, H, A), matrix(p.projected, N, P, S), w_hr);
      launch_cell(layer, p, stream);
    } else {
      launch_step(layer, p, stream);
    }
    const Matrix recurrent = matrix(at(p.dz, traits.recurrent_plane() * H, S), N, rows, planes, S);
    multiply(context, matrix(p.dh, N, P, A), recurrent, w_hh);
  }
  p.t = layer.reverse ? layer.T : -1;
  if (p.dh0 || p.dc0) launch_leave(layer, p, stream);
}

}  // namespace seqgrad::cuda
