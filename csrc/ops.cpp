// torch meets the engines here: schemas, and the ops of one layer and direction. See call.h for what a call is.
#include "call.h"

namespace seqgrad {
namespace {

struct Results {
  Tensor out;
  OptionalTensor hn, cn, saved;
};

template <class Device>
Results run(const Call& call, bool save, From from) {
  const Layer& p = call.layer;
  Results r{call.empty_rows(call.x.scalar_type(), p.P), {}, {}, {}};
  if (!call.single || !Device::kOutMayBeHn) r.hn = call.empty_state(p.P);
  if (p.traits().states == 2) r.cn = call.empty_state(p.H);
  if (save) r.saved = from == From::eager ? call.empty_saved() : call.empty_rows(arithmetic(call.x), int64_t(p.traits().saved), p.H);
  // Beyond a length nobody writes it. Of a graph's op it is a result, and results are the same each time.
  if (save && call.lengths && from == From::graph) torch::stable::zero_(*r.saved);
  if (p.N > 0) Device::forward(call, {data(r.out), data(r.hn ? *r.hn : r.out), data(r.cn), data(r.saved)});
  if (call.single) r.hn.reset();
  return r;
}

struct Wanted { bool input, weights, norms; };

struct Gradients {
  OptionalTensor dx;
  WeightGradients weights;
  OptionalTensor dh0, dc0, norms;
};

// Of a single step grad_out is the gradient of its state, which is both.
template <class Device>
Gradients run_back(const Call& call, OptionalTensor grad_out, OptionalTensor grad_hn, OptionalTensor grad_cn, Tensor out, Tensor saved,
                   const Wanted& wanted) {
  const Layer& p = call.layer;
  const ScalarType storage = call.x.scalar_type(), wide = arithmetic(call.x);
  const bool two = p.traits().states == 2;
  if (grad_out) call.check_rows("grad_out", *grad_out, storage, p.P);
  call.check_state("grad_hn", grad_hn, p.P);
  if (two) call.check_state("grad_cn", grad_cn, p.H);
  call.check_rows("out", out, storage, p.P);
  call.check_rows("saved", saved, wide, int64_t(p.traits().saved), p.H);
  if (call.single) grad_hn = std::move(grad_out), grad_out.reset();
  const bool even = Device::kTakesEvenRows && grad_out && p.P > 1 && grad_out->stride(-1) == 0;
  if (grad_out && !even) grad_out = dense_rows(*grad_out);
  grad_hn = dense(grad_hn), grad_cn = dense(grad_cn), out = dense(out), saved = dense(saved);

  Gradients g{{}, {call, wanted.weights}, {}, {}, {}};
  if (wanted.input) g.dx = call.empty_rows(storage, p.I);
  if (wanted.norms) g.norms = call.empty({norm_rows(p).count, p.T, p.N}, wide);
  Backward b;
  if (!call.from_zero) {
    g.dh0 = call.empty_state(p.P);
    if (two) g.dc0 = call.empty_state(p.H);
  }
  b.out = data(out), b.saved = data(saved), b.grad_hn = data(grad_hn);
  if (two) b.grad_cn = data(grad_cn);
  if (grad_out) b.grad_out = data(grad_out), b.grad_out_stride_t = grad_out->stride(0), b.grad_out_stride_n = grad_out->stride(-2);
  b.grad_out_even = even;
  g.weights.fill(b);
  b.dx = data(g.dx), b.dh0 = data(g.dh0), b.dc0 = data(g.dc0), b.norms = data(g.norms);
  if (p.N > 0) Device::backward(call, b);
  else g.weights.zero();
  return g;
}

Settings settings_of(const std::string& cell, bool reverse, double scale, const std::string& clip, double clip_limit, int64_t truncate) {
  return {cell_named(cell), reverse, scale, clip_named(clip), clip_limit, truncate};
}

// `tap` takes no part in the computation: its gradient is defined to be the norms (see seqgrad/_ops.py).
template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor> forward(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh,
                                                   OptionalTensor w_hr, Tensor h0, OptionalTensor c0, OptionalTensor lengths,
                                                   OptionalTensor tap, std::string cell, bool reverse, double scale, std::string clip,
                                                   double clip_limit, int64_t truncate, bool save) {
  const Call call = make_call<Device>(From::graph, x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths,
                                      settings_of(cell, reverse, scale, clip, clip_limit, truncate));
  const Layer& p = call.layer;
  if (tap) Checker{call.x}("tap", *tap, arithmetic(call.x), {norm_rows(p).count, p.T, p.N});
  const Results r = run<Device>(call, save, From::graph);
  return {r.out, *r.hn, call.or_nothing(r.cn), r.saved ? *r.saved : call.empty({0}, arithmetic(call.x))};
}

template <class Device>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward(
    OptionalTensor grad_out, OptionalTensor grad_hn, OptionalTensor grad_cn, Tensor out, Tensor saved, Tensor x, Tensor w_ih, Tensor w_hh,
    OptionalTensor b_ih, OptionalTensor b_hh, OptionalTensor w_hr, Tensor h0, OptionalTensor c0, OptionalTensor lengths, std::string cell,
    bool reverse, double scale, std::string clip, double clip_limit, int64_t truncate, bool need_input, bool need_weights, bool norms) {
  const Call call = make_call<Device>(From::graph, x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths,
                                      settings_of(cell, reverse, scale, clip, clip_limit, truncate));
  const Gradients g = run_back<Device>(call, grad_out, grad_hn, grad_cn, out, saved, {need_input, need_weights, norms});
  const WeightGradients& w = g.weights;
  const auto of = [&](const OptionalTensor& t) { return call.or_nothing(t); };
  return {of(g.dx),    of(w.dw_ih), of(w.dw_hh),
          of(w.db_ih), of(w.db_hh), of(w.dw_hr),
          of(g.dh0),   of(g.dc0),   g.norms ? *g.norms : call.empty({0}, arithmetic(call.x))};
}

// The same for eager code, where a short call costs what its arguments and results do: nothing for what is not there, and
// small numbers in one, `code`, lowest bits first: 8 of the cell, 1 of reverse, 2 of the kind of clip, then truncate.
// See From for what else it may do.
Settings settings_of(int64_t code, double scale, double clip_limit) {
  const int64_t cell = code & 255, clip = code >> 9 & 3;
  if (code < 0 || cell >= kCellCount || clip > int64_t(ClipKind::value)) fail("code holds no cell and clip, got " + std::to_string(code));
  return {static_cast<CellId>(cell), (code >> 8 & 1) != 0, scale, static_cast<ClipKind>(clip), clip_limit, code >> 11};
}

template <class Device>
std::tuple<Tensor, OptionalTensor, OptionalTensor, OptionalTensor> eager(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih,
                                                                         OptionalTensor b_hh, OptionalTensor w_hr, OptionalTensor h0,
                                                                         OptionalTensor c0, OptionalTensor lengths, int64_t code,
                                                                         double scale, double clip_limit, bool save) {
  const Call call = make_call<Device>(From::eager, x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths, settings_of(code, scale, clip_limit));
  const Results r = run<Device>(call, save, From::eager);
  return {r.out, r.hn, r.cn, r.saved};
}

template <class Device>
std::tuple<OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor, OptionalTensor,
           OptionalTensor>
eager_backward(OptionalTensor grad_out, OptionalTensor grad_hn, OptionalTensor grad_cn, Tensor out, Tensor saved, Tensor x, Tensor w_ih,
               Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh, OptionalTensor w_hr, OptionalTensor h0, OptionalTensor c0,
               OptionalTensor lengths, int64_t code, double scale, double clip_limit, int64_t wanted) {
  const Call call = make_call<Device>(From::eager, x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, lengths, settings_of(code, scale, clip_limit));
  const Gradients g =
      run_back<Device>(call, grad_out, grad_hn, grad_cn, out, saved, {(wanted & 1) != 0, (wanted & 2) != 0, (wanted & 4) != 0});
  const WeightGradients& w = g.weights;
  return {g.dx, w.dw_ih, w.dw_hh, w.db_ih, w.db_hh, w.dw_hr, g.dh0, g.dc0, g.norms};
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
// forward and backward are what graphs hold; eager and eager_backward do the same for code that runs at once.
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
      "eager(Tensor x, Tensor w_ih, Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, Tensor? h0, Tensor? c0, "
      "Tensor? lengths, int code, float scale, float clip_limit, bool save) "
      "-> (Tensor out, Tensor? hn, Tensor? cn, Tensor? saved)");
  m.def(
      "eager_backward(Tensor? grad_out, Tensor? grad_hn, Tensor? grad_cn, Tensor out, Tensor saved, Tensor x, Tensor w_ih, "
      "Tensor w_hh, Tensor? b_ih, Tensor? b_hh, Tensor? w_hr, Tensor? h0, Tensor? c0, Tensor? lengths, int code, float scale, "
      "float clip_limit, int wanted) "
      "-> (Tensor? dx, Tensor? dw_ih, Tensor? dw_hh, Tensor? db_ih, Tensor? db_hh, Tensor? dw_hr, Tensor? dh0, Tensor? dc0, "
      "Tensor? norms)");
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
  m.impl("eager", TORCH_BOX(&eager<ForCpu>));
  m.impl("eager_backward", TORCH_BOX(&eager_backward<ForCpu>));
}

// In every build, so that a build without kernels says so itself instead of the dispatcher.
STABLE_TORCH_LIBRARY_IMPL(seqgrad, CUDA, m) {
  m.impl("forward", TORCH_BOX(&forward<OnCuda>));
  m.impl("backward", TORCH_BOX(&backward<OnCuda>));
  m.impl("eager", TORCH_BOX(&eager<OnCuda>));
  m.impl("eager_backward", TORCH_BOX(&eager_backward<OnCuda>));
}

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CompositeExplicitAutograd, m) { m.impl("cuda_devices", TORCH_BOX(&cuda_devices)); }

}  // namespace seqgrad
