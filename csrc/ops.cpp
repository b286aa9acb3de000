// torch meets the engines here and nowhere else: schemas, checks, allocation, dispatch. What differs between devices is
// in the two structs OnCpu and OnCuda; everything that can be wrong with a call is checked once, for both.
#include "core/aten.h"
#include "cpu/engine.h"
#if SEQGRAD_WITH_CUDA
#include "core/aten_cuda.h"
#endif

namespace seqgrad {
namespace {

CellId cell_named(const std::string& name) {
  for (int i = 0; i < kCellCount; ++i)
    if (name == kCells[i].name) return static_cast<CellId>(i);
  std::string known;
  for (int i = 0; i < kCellCount; ++i) known += std::string(i ? ", " : "") + kCells[i].name;
  fail("cell must be one of " + known + ", got '" + name + "'");
}

ClipKind clip_named(const std::string& name) {
  if (name == "none") return ClipKind::none;
  if (name == "norm") return ClipKind::norm;
  if (name == "value") return ClipKind::value;
  fail("state_clip must be none, norm or value, got '" + name + "'");
}

// The tensors of a call, made dense and kept alive while the engine reads their memory.
struct Call {
  Tensor x, w_ih, w_hh, h0;
  OptionalTensor b_ih, b_hh, w_hr, c0, lengths;
  Layer layer;
  bool single = false;             // one time step: x is [N, I]
  std::vector<int64_t> first_row;  // of packed rows: x is [S, I], lengths fall

  void check_and_fill() {
    Layer& p = layer;
    const bool packed = !single && x.dim() == 2 && lengths;
    if (x.dim() != (single || packed ? 2 : 3))
      fail(std::string("input must have shape ") + (single ? "[N, I]" : "[T, N, I]") + ", got " + shape_text(x));
    if (w_hh.dim() != 2) fail("w_hh must have shape [G*H, P], got " + shape_text(w_hh));
    const CellTraits& traits = p.traits();
    p.dtype = storage_dtype("input", x);
    p.T = single ? 1 : x.size(0), p.N = packed ? h0.size(0) : x.size(-2), p.I = x.size(-1), p.P = w_hh.size(1),
    p.H = w_hh.size(0) / traits.gates;
    if (p.T < 1) fail("input must have at least one time step, got shape " + shape_text(x));
    if (p.H < 1) fail("w_hh must have shape [" + std::to_string(traits.gates) + "*H, P], got " + shape_text(w_hh));
    if (w_hr && traits.states != 2) fail("w_hr (proj_size) is for LSTM only");
    if (!w_hr && p.P != p.H) fail("w_hh must have shape [" + std::to_string(traits.gates) + "*H, H], got " + shape_text(w_hh));
    if ((traits.states == 2) != c0.has_value()) fail("c0 must be given for LSTM and only there");
    const int64_t rows = traits.gates * p.H;
    const Checker check{x};
    check("w_ih", w_ih, {rows, p.I});
    check("w_hh", w_hh, {rows, p.P});
    check("b_ih", b_ih, {rows});
    check("b_hh", b_hh, {rows});
    check("w_hr", w_hr, {p.P, p.H});
    check("h0", h0, {p.N, p.P});
    check("c0", c0, {p.N, p.H});
    if (lengths) check("lengths", *lengths, ScalarType::Long, {p.N});
    if (packed) find_rows();
    if (p.truncate < 0) fail("truncate must be 0 (off) or a positive number of steps, got " + std::to_string(p.truncate));
    x = dense_rows(x), w_ih = dense(w_ih), w_hh = dense(w_hh), h0 = dense(h0);
    b_ih = dense(b_ih), b_hh = dense(b_hh), w_hr = dense(w_hr), c0 = dense(c0), lengths = dense(lengths);
    p.x = data(x), p.x_stride_t = packed ? 0 : x.stride(0), p.x_stride_n = x.stride(-2);
    p.w_ih = data(w_ih), p.w_hh = data(w_hh), p.b_ih = data(b_ih), p.b_hh = data(b_hh), p.w_hr = data(w_hr);
    p.h0 = data(h0), p.c0 = data(c0), p.lengths = static_cast<const int64_t*>(data(lengths));
  }

  // Packed rows are in the order of time, within a step in the order of samples; only the ones alive have one.
  void find_rows() {
    const int64_t* length = static_cast<const int64_t*>(data(*lengths));
    Layer& p = layer;
    for (int64_t n = 0; n < p.N; ++n)
      if (length[n] < 1 || (n && length[n] > length[n - 1])) fail("lengths of packed rows must be at least 1 and never grow");
    p.T = p.N ? length[0] : 0;
    int64_t total = 0, alive = p.N;
    for (int64_t t = 0; t < p.T; ++t) {
      while (length[alive - 1] <= t) --alive;
      first_row.push_back(total), total += alive;
    }
    if (total != x.size(0) || !p.N)
      fail("input must have as many packed rows as lengths add up to, " + std::to_string(total) + ", got " + shape_text(x));
    p.first_row = first_row.data();
  }

  // [T, N, columns] of a padded batch, [S, columns] of packed rows.
  template <class... Columns>
  Tensor empty_rows(ScalarType type, Columns... columns) const {
    return layer.first_row ? empty({x.size(0), columns...}, type) : empty({layer.T, layer.N, columns...}, type);
  }
  template <class... Columns>
  void check_rows(const char* name, const Tensor& t, ScalarType type, Columns... columns) const {
    if (layer.first_row) Checker{x}(name, t, type, {x.size(0), columns...});
    else Checker{x}(name, t, type, {layer.T, layer.N, columns...});
  }

  Tensor empty(std::initializer_list<int64_t> shape, ScalarType type) const { return empty_on(x, shape, type); }
  Tensor empty(std::initializer_list<int64_t> shape) const { return empty(shape, x.scalar_type()); }
  Tensor empty_if(bool wanted, std::initializer_list<int64_t> shape) const { return wanted ? empty(shape) : empty({0}); }
};

struct OnCpu {
  static constexpr bool out_may_be_hn = true;   // of one step both are the same numbers
  static constexpr bool kTakesEvenRows = true;  // the gradient of a sum, an expanded number, is read as it is
  static constexpr bool kTakesPackedRows = true;
  static void require(const Tensor& x) {
    if (!x.is_cpu()) fail("the CPU kernels were given an input on another device");
  }
  static void check_lengths(const Layer& p) {
    for (int64_t n = 0; p.lengths && n < p.N; ++n)
      if (p.lengths[n] < 0 || p.lengths[n] > p.T)
        fail("lengths must lie between 0 and the number of time steps " + std::to_string(p.T) + ", got " + std::to_string(p.lengths[n]) +
             " for sample " + std::to_string(n));
  }
  static void forward(const Call& call, const ForwardOut& out) { cpu::engine().forward(call.layer, out, torch_parallel()); }
  static void backward(const Call& call, const Backward& b) { cpu::engine().backward(call.layer, b, torch_parallel()); }
};

// Work is queued on the current stream and nothing waits for the device. So lengths are not looked at here: the kernels
// take values outside [0, T] as the nearer end.
struct OnCuda {
  static constexpr bool out_may_be_hn = false, kTakesEvenRows = false, kTakesPackedRows = false;
  static void check_lengths(const Layer&) {}
#if SEQGRAD_WITH_CUDA
  static void require(const Tensor& x) {
    if (!on_device(x)) fail("the CUDA kernels were given an input on another device");
    wished_path();
  }
  static void forward(const Call& call, const ForwardOut& out) { cuda::forward(call.layer, out, CudaCall(call.x).context); }
  static void backward(const Call& call, const Backward& b) { cuda::backward(call.layer, b, CudaCall(call.x).context); }
#else
  [[noreturn]] static void require(const Tensor&) {
    throw std::runtime_error(
        "seqgrad: this build holds no CUDA kernels. Rebuild it from its sources, where a CUDA toolkit is installed: "
        "SEQGRAD_CUDA=1 pip install --no-build-isolation --force-reinstall --no-deps .");
  }
  static void forward(const Call&, const ForwardOut&) {}
  static void backward(const Call&, const Backward&) {}
#endif
};

template <class Device>
Call make_call(Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh, OptionalTensor w_hr, Tensor h0,
               OptionalTensor c0, OptionalTensor lengths, const std::string& cell, bool reverse, double scale, const std::string& clip,
               double clip_limit, int64_t truncate) {
  Device::require(x);
  if (!Device::kTakesPackedRows && x.dim() == 2)
    fail("input must have shape [T, N, I] (packed rows are for the CPU), got " + shape_text(x));
  Call call{x, w_ih, w_hh, h0, b_ih, b_hh, w_hr, c0, lengths, {}};
  call.layer.cell = cell_named(cell);
  call.layer.reverse = reverse;
  call.layer.scale = scale;
  call.layer.clip = clip_named(clip);
  call.layer.clip_limit = clip_limit;
  call.layer.truncate = truncate;
  call.check_and_fill();
  Device::check_lengths(call.layer);
  return call;
}

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

  const int64_t rows = p.traits().gates * p.H;
  const auto weight = [&](bool there, std::initializer_list<int64_t> shape) { return call.empty_if(need_weights && there, shape); };
  Tensor dx = need_input ? call.empty_rows(x.scalar_type(), p.I) : call.empty({0});
  Tensor dw_ih = weight(true, {rows, p.I}), dw_hh = weight(true, {rows, p.P}), dw_hr = weight(w_hr.has_value(), {p.P, p.H});
  Tensor db_ih = weight(b_ih.has_value(), {rows}), db_hh = weight(b_hh.has_value(), {rows});
  Tensor dh0 = call.empty({p.N, p.P}), dc0 = call.empty_if(two, {p.N, p.H});
  Tensor measured = norms ? call.empty({norm_rows(p).count, p.T, p.N}, arithmetic(x)) : call.empty({0}, arithmetic(x));

  Backward b;
  b.out = data(out), b.saved = data(saved), b.grad_hn = data(grad_hn);
  if (two) b.grad_cn = data(grad_cn);
  if (grad_out) b.grad_out = data(grad_out), b.grad_out_stride_t = grad_out->stride(0), b.grad_out_stride_n = grad_out->stride(-2);
  b.grad_out_even = even;
  b.dx = data(dx), b.dw_ih = data(dw_ih), b.dw_hh = data(dw_hh), b.db_ih = data(db_ih), b.db_hh = data(db_hh), b.dw_hr = data(dw_hr);
  b.dh0 = data(dh0), b.dc0 = data(dc0), b.norms = data(measured);
  if (p.N > 0) {
    Device::backward(call, b);
  } else {
    for (Tensor* t : {&dw_ih, &dw_hh, &dw_hr, &db_ih, &db_hh}) torch::stable::zero_(*t);
  }
  return {dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0, measured};
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
