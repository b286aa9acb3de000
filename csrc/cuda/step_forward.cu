// The time loop of path `step`, forward: product, pointwise kernel, and again.
#include "step_forward.cuh"

#include <algorithm>
#include <tuple>

#include "matrix.h"
#include "rows.h"
#include "step.h"
#include "types.h"

namespace seqgrad::cuda {
namespace {

constexpr int kThreads = 256;

// Blocks of the pointwise kernels: x samples, y tiles of `width`.
struct Cut {
  dim3 grid;
  int threads;
  Cut(int64_t N, int64_t width) : threads(static_cast<int>(std::min<int64_t>(round_up(width, 32), kThreads))) {
    grid = dim3(static_cast<unsigned>(N), static_cast<unsigned>((width + threads - 1) / threads));
  }
};

void launch_step(const Layer& layer, const ForwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.H);
  with_storage(layer.dtype, [&](auto storage) {
    with_cell(layer.cell, [&](auto cell) {
      using S = typename decltype(storage)::type;
      using Cell = typename decltype(cell)::type;
      check(launch(step_forward_kernel<S, Cell>, cut.grid, cut.threads, 0, stream, p, false), "step_forward_kernel");
    });
  });
}

void launch_project(const Layer& layer, const ForwardStep& p, cudaStream_t stream) {
  const Cut cut(layer.N, layer.P);
  with_storage(layer.dtype, [&](auto storage) {
    using S = typename decltype(storage)::type;
    check(launch(step_project_kernel<S>, cut.grid, cut.threads, 0, stream, p, false), "step_project_kernel");
  });
}

}  // namespace

void step_forward(const Layer& layer, const ForwardOut& to, const void* wx, const Context& context) {
  const auto [N, H, P, S, A] = std::tuple(layer.N, layer.H, layer.P, layer.dtype, arithmetic(layer.dtype));
  const CellTraits& traits = layer.traits();
  const int64_t rows = traits.gates * H;
  const bool two = traits.states == 2;
  const cudaStream_t stream = stream_of(context);

  ForwardStep p{};
  p.H = H, p.P = P, p.scale = layer.scale, p.lengths = layer.lengths, p.b_ih = layer.b_ih, p.b_hh = layer.b_hh;
  void* rec = allocate(context, N * rows, A);
  p.rec = rec;
  p.h = allocate(context, N * P, A);
  p.operand = S == A ? p.h : allocate(context, N * P, S);
  if (two) p.c = allocate(context, N * H, A);
  void* projected = layer.w_hr ? allocate(context, N * P, A) : nullptr;
  p.projected = projected;
  if (layer.w_hr) p.m = allocate(context, N * H, S);

  launch_convert(p.h, layer.h0, N * P, S, true, stream);
  if (p.operand != p.h)
    check(cudaMemcpyAsync(p.operand, layer.h0, N * P * element_size(S), cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
  if (two) launch_convert(p.c, layer.c0, N * H, S, true, stream);

  const Matrix w_hh = transposed(matrix(layer.w_hh, rows, P, S)), w_hr = transposed(matrix(layer.w_hr, P, H, S));
  for (int64_t k = 0; k < layer.T; ++k) {
    p.t = layer.reverse ? layer.T - 1 - k : k;
    p.wx = at(wx, p.t * N * rows, S);
    p.out = at(to.out, p.t * N * P, S);
    p.saved = to.saved ? at(to.saved, p.t * N * traits.saved * H, A) : nullptr;
    multiply(context, matrix(rec, N, rows, A), matrix(p.operand, N, P, S), w_hh);
    launch_step(layer, p, stream);
    if (!layer.w_hr) continue;
    multiply(context, matrix(projected, N, P, A), matrix(p.m, N, H, S), w_hr);
    launch_project(layer, p, stream);
  }
  launch_convert(to.hn, p.h, N * P, S, false, stream);
  if (two) launch_convert(to.cn, p.c, N * H, S, false, stream);
}

}  // namespace seqgrad::cuda
