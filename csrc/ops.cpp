// torch meets the engines here: schemas, and the ops of one layer and direction. See call.h for what a call is.
#include "call.h"

namespace seqgrad {
namespace {

// `tap` takes no part in the computation: its gradient is defined to be the norms (see seqgrad/_ops.py).
template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor> forward(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh,
                                                   OptionalTensor w_hr, Tensor h0, OptionalTensor c0, OptionalTensor lengths,
                                                   OptionalTensor tap, std::string cell, bool reverse, double scale, std::string clip,
                                                   double clip_limit, int64_t truncate, bool save) {
  const Call call = make_call<Device>(x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths, cell, reverse, scale, clip, clip_limit, truncate);
  const Layer& p = call.layer;
  if (tap) Checker{call.x}("tap", *tap, arithmetic(call.x), {norm_rows(p).count, p.T, p.N});
  const bool two = p.traits().states == 2;
  Tensor out = call.empty_rows(x.scalar_type(), p.P), hn = call.empty({p.N, p.P}), cn = call.empty_if(two, {p.N, p.H});
  Tensor saved = save ? call.empty_rows(arithmetic(x), int64_t(p.traits().saved), p.H) : call.empty({0}, arithmetic(x));
  if (p.N > 0) Device::forward(call, {data(out), data(hn), data(cn), data(saved)});
  return {out, hn, cn, saved};
}

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

template <class Device>
Gradients backward(OptionalTensor grad_out, OptionalTensor grad_hn, OptionalTensor grad_cn, Tensor out, Tensor saved, Tensor x, Tensor w_ih,
                   Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh, OptionalTensor w_hr, Tensor h0, OptionalTensor c0,
                   OptionalTensor lengths, std::string cell, bool reverse, double scale, std::string clip, double clip_limit,
                   int64_t truncate, bool need_input, bool need_weights, bool norms) {
  const Call call = make_call<Device>(x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths, cell, reverse, scale, clip, clip_limit, truncate);
  const Layer& p = call.layer;
  const bool two = p.traits().states == 2;
  const Checker check{call.x};
  if (grad_out) call.check_rows("grad_out", *grad_out, x.scalar_type(), p.P);
  check("grad_hn", grad_hn, {p.N, p.P});
  if (two) check("grad_cn", grad_cn, {p.N, p.H});
  call.check_rows("out", out, x.scalar_type(), p.P);
  call.check_rows("saved", saved, arithmetic(x), int64_t(p.traits().saved), p.H);
  const bool even = Device::kTakesEvenRows && grad_out && p.P > 1 && grad_out->stride(-1) == 0;
  if (grad_out && !even) grad_out = dense_rows(*grad_out);
  grad_hn = dense(grad_hn), grad_cn = dense(grad_cn), out = dense(out), saved = dense(saved);

  Tensor dx = need_input ? call.empty_rows(x.scalar_type(), p.I) : call.empty({0});
  WeightGradients weights(call, need_weights);
  Tensor dh0 = call.empty({p.N, p.P}), dc0 = call.empty_if(two, {p.N, p.H});
  Tensor measured = norms ? call.empty({norm_rows(p).count, p.T, p.N}, arithmetic(x)) : call.empty({0}, arithmetic(x));

  Backward b;
  b.out = data(out), b.saved = data(saved), b.grad_hn = data(grad_hn);
  if (two) b.grad_cn = data(grad_cn);
  if (grad_out) b.grad_out = data(grad_out), b.grad_out_stride_t = grad_out->stride(0), b.grad_out_stride_n = grad_out->stride(-2);
  b.grad_out_even = even;
  weights.fill(b);
  b.dx = data(dx), b.dh0 = data(dh0), b.dc0 = data(dc0), b.norms = data(measured);
  if (p.N > 0) Device::backward(call, b);
  else weights.zero();
  return {dx, weights.dw_ih, weights.dw_hh, weights.db_ih, weights.db_hh, weights.dw_hr, dh0, dc0, measured};
}

// One time step, for calls so small that arguments and results are what they cost: fewer of both than above, in eager mode
// alone (seqgrad/_ops.py). `h` is out and hn at once; c and saved are there if they are wanted.
template <class Device>
Call make_step(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh, Tensor h0, OptionalTensor c0, int64_t cell,
               double scale) {
  Device::require(x);
  if (cell < 0 || cell >= kCellCount) fail("cell must be an index into the list of cells, got " + std::to_string(cell));
  Call call{std::move(x), std::move(w_ih), std::move(w_hh), std::move(h0), std::move(b_ih), std::move(b_hh), {}, std::move(c0), {}, {},
            true};
  call.layer.cell = static_cast<CellId>(cell);
  call.layer.scale = scale;
  call.check_and_fill();
  return call;
}

template <class Device>
std::tuple<Tensor, OptionalTensor, OptionalTensor> step(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh,
                                                        Tensor h0, OptionalTensor c0, int64_t cell, double scale, bool save) {
  const Call call = make_step<Device>(std::move(x), std::move(w_ih), std::move(w_hh), std::move(b_ih), std::move(b_hh), std::move(h0),
                                      std::move(c0), cell, scale);
  const Layer& p = call.layer;
  Tensor h = call.empty({p.N, p.P});
  OptionalTensor c, saved, out;
  if (p.traits().states == 2) c = call.empty({p.N, p.H});
  if (save) saved = call.empty({1, p.N, p.traits().saved, p.H}, arithmetic(call.x));
  if (!Device::out_may_be_hn) out = call.empty({p.N, p.P});
  if (p.N > 0) Device::forward(call, {data(out ? *out : h), data(h), data(c), data(saved)});
  return {h, c, saved};
}

using StepGradients = std::tuple<OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, Tensor, OptionalTensor>;

template <class Device>
StepGradients step_backward(OptionalTensor grad_h, OptionalTensor grad_c, Tensor h, Tensor saved, Tensor x, Tensor w_ih, Tensor w_hh,
                            OptionalTensor b_ih, OptionalTensor b_hh, Tensor h0, OptionalTensor c0, int64_t cell, double scale,
                            bool need_input, bool need_weights) {
  const Call call = make_step<Device>(std::move(x), std::move(w_ih), std::move(w_hh), std::move(b_ih), std::move(b_hh), std::move(h0),
                                      std::move(c0), cell, scale);
  const Layer& p = call.layer;
  const Checker check{call.x};
  check("grad_h", grad_h, {p.N, p.P});
  if (call.c0) check("grad_c", grad_c, {p.N, p.H});
  check("h", h, {p.N, p.P});
  check("saved", saved, arithmetic(call.x), {1, p.N, p.traits().saved, p.H});
  grad_h = dense(grad_h), grad_c = dense(grad_c), h = dense(h), saved = dense(saved);

  const int64_t rows = p.traits().gates * p.H;
  const auto make = [&](bool wanted, std::initializer_list<int64_t> shape) {
    return wanted ? OptionalTensor(call.empty(shape)) : OptionalTensor();
  };
  OptionalTensor dx = make(need_input, {p.N, p.I}), dw_ih = make(need_weights, {rows, p.I}), dw_hh = make(need_weights, {rows, p.P}),
                 db_ih = make(need_weights && call.b_ih, {rows}), db_hh = make(need_weights && call.b_hh, {rows}),
                 dc0 = make(call.c0.has_value(), {p.N, p.H});
  Tensor dh0 = call.empty({p.N, p.P});
  Backward b;
  b.out = data(h), b.saved = data(saved), b.grad_hn = data(grad_h);
  if (call.c0) b.grad_cn = data(grad_c);
  b.dx = data(dx), b.dw_ih = data(dw_ih), b.dw_hh = data(dw_hh), b.db_ih = data(db_ih), b.db_hh = data(db_hh);
  b.dh0 = data(dh0), b.dc0 = data(dc0);
  if (p.N > 0) {
    Device::backward(call, b);
  } else {
    for (OptionalTensor* t : {&dw_ih, &dw_hh, &db_ih, &db_hh})
      if (*t) torch::stable::zero_(**t);
  }
  return {dx, dw_ih, dw_hh, db_ih, db_hh, dh0, dc0};
}

// The fields of cuda::DeviceLimits, per device. Empty in a build without CUDA and on a machine without a driver.
std::vector<int64_t> cuda_devices() {
  std::vector<int64_t> facts;
#if SEQGRAD_WITH_CUDA
  for (int i = 0; i < cuda::device_count(); ++i) {
    cuda::DeviceLimits d;
    if (const char* error = cuda::query_device(i, &d)) fail("CUDA device " + std::to_string(i) + ": " + error);
    facts.insert(facts.end(), {d.major, d.minor, d.multiprocessors, d.shared_per_block, d.shared_per_multiprocessor,
                               d.registers_per_multiprocessor, d.l2_bytes, d.cooperative_launch});
  }
#endif
  return facts;
}

}  // namespace

// One forward op and one backward op for all cells and devices: what differs between cells is data (cells/cells.h).
// x, out, saved and their gradients are [T, N, *], or, on the CPU, the packed rows [S, *] of samples whose lengths fall.
STABLE_TORCH_LIBRARY(seqgrad, m) {
  m.def(
      "forward(Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, Tensor h0, Tensor? c0, "
      "Tensor? lengths, Tensor? tap, str cell, bool reverse, float scale, str clip, float clip_limit, int truncate, bool save) "
      "-> (Tensor out, Tensor hn, Tensor cn, Tensor saved)");
  m.def(
      "backward(Tensor? grad_out, Tensor? grad_hn, Tensor? grad_cn, Tensor out, Tensor saved, Tensor x, Tensor w_ih, "
      "Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, Tensor h0, Tensor? c0, Tensor? lengths, str cell, bool reverse, "
      "float scale, str clip, float clip_limit, int truncate, bool need_input, bool need_weights, bool norms) "
      "-> (Tensor dx, Tensor dw_ih, Tensor dw_hh, Tensor db_ih, Tensor db_hh, Tensor dw_hr, Tensor dh0, Tensor dc0, Tensor norms)");
  m.def(
      "step(Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor h0, Tensor? c0, int cell, float scale, bool save) "
      "-> (Tensor h, Tensor? c, Tensor? saved)");
  m.def(
      "step_backward(Tensor? grad_h, Tensor? grad_c, Tensor h, Tensor saved, Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, "
      "Tensor? b_hh, Tensor h0, Tensor? c0, int cell, float scale, bool need_input, bool need_weights) "
      "-> (Tensor? dx, Tensor? dw_ih, Tensor? dw_hh, Tensor? db_ih, Tensor? db_hh, Tensor dh0, Tensor? dc0)");
  m.def("cuda_devices() -> int[]");
}

#if defined(SEQGRAD_EMULATOR)
using ForCpu = OnCuda;  // for tests: the CUDA engine, run by the host emulator, behind tensors of the CPU
#else
using ForCpu = OnCpu;
#endif

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CPU, m) {
  m.impl("forward", TORCH_BOX(&forward<ForCpu>));
  m.impl("backward", TORCH_BOX(&backward<ForCpu>));
  m.impl("step", TORCH_BOX(&step<ForCpu>));
  m.impl("step_backward", TORCH_BOX(&step_backward<ForCpu>));
}

// In every build, so that a build without kernels says so itself instead of the dispatcher.
STABLE_TORCH_LIBRARY_IMPL(seqgrad, CUDA, m) {
  m.impl("forward", TORCH_BOX(&forward<OnCuda>));
  m.impl("backward", TORCH_BOX(&backward<OnCuda>));
  m.impl("step", TORCH_BOX(&step<OnCuda>));
  m.impl("step_backward", TORCH_BOX(&step_backward<OnCuda>));
}

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CompositeExplicitAutograd, m) { m.impl("cuda_devices", TORCH_BOX(&cuda_devices)); }

}  // namespace seqgrad
