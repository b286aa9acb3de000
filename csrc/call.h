// A call of an op on its way to an engine: checks and allocation. What differs between devices is in the two structs
// OnCpu and OnCuda; everything that can be wrong with a call is checked once, for both.
#pragma once

#include "cpu/engine.h"
#include "core/aten.h"
#if SEQGRAD_WITH_CUDA
#include "core/aten_cuda.h"
#endif

namespace seqgrad {

inline CellId cell_named(const std::string& name) {
  for (int i = 0; i < kCellCount; ++i)
    if (name == kCells[i].name) return static_cast<CellId>(i);
  std::string known;
  for (int i = 0; i < kCellCount; ++i) known += std::string(i ? ", " : "") + kCells[i].name;
  fail("cell must be one of " + known + ", got '" + name + "'");
}

inline ClipKind clip_named(const std::string& name) {
  if (name == "none") return ClipKind::none;
  if (name == "norm") return ClipKind::norm;
  if (name == "value") return ClipKind::value;
  fail("state_clip must be none, norm or value, got '" + name + "'");
}

// What a call says beside tensors.
struct Settings {
  CellId cell;
  bool reverse;
  double scale;
  ClipKind clip;
  double clip_limit;
  int64_t truncate;
};

// What eager calls may do beyond those of a graph: leave out the states, give them as torch.nn holds them, [1, N, *], and
// take a single step, x [N, I].
enum class From { graph, eager };

// The tensors of a call, made dense and kept alive while the engine reads their memory.
struct Call {
  Tensor x, w_ih, w_hh;
  OptionalTensor b_ih, b_hh, w_hr, h0, c0, lengths;
  Layer layer;
  bool single = false;             // one time step: x is [N, I]
  bool stacked = false;            // states and their gradients are [1, N, *]
  bool from_zero = false;          // states were left out
  std::vector<int64_t> first_row;  // of packed rows: x is [S, I], lengths fall
  std::vector<char> zeros;         // initial states that were left out, for both to read

  void check_and_fill(From from) {
    Layer& p = layer;
    const bool packed = x.dim() == 2 && lengths;
    single = from == From::eager && x.dim() == 2 && !lengths;
    from_zero = from == From::eager && !h0;
    stacked = from == From::eager && !single && (!h0 || h0->dim() == 3);
    if (!single && !packed && x.dim() != 3) fail("input must have shape [T, N, I], got " + shape_text(x));
    if (w_hh.dim() != 2) fail("w_hh must have shape [G*H, P], got " + shape_text(w_hh));
    const CellTraits& traits = p.traits();
    p.dtype = storage_dtype("input", x);
    p.T = single ? 1 : x.size(0), p.N = packed ? lengths->size(0) : x.size(-2), p.I = x.size(-1), p.P = w_hh.size(1),
    p.H = w_hh.size(0) / traits.gates;
    if (p.T < 1) fail("input must have at least one time step, got shape " + shape_text(x));
    if (p.H < 1) fail("w_hh must have shape [" + std::to_string(traits.gates) + "*H, P], got " + shape_text(w_hh));
    if (w_hr && traits.states != 2) fail("w_hr (proj_size) is for LSTM only");
    if (!w_hr && p.P != p.H) fail("w_hh must have shape [" + std::to_string(traits.gates) + "*H, H], got " + shape_text(w_hh));
    if (from_zero ? c0.has_value() : (traits.states == 2) != c0.has_value()) fail("c0 must be given for LSTM and only there");
    const int64_t rows = traits.gates * p.H;
    const Checker check{x};
    check("w_ih", w_ih, {rows, p.I});
    check("w_hh", w_hh, {rows, p.P});
    check("b_ih", b_ih, {rows});
    check("b_hh", b_hh, {rows});
    check("w_hr", w_hr, {p.P, p.H});
    check_state("h0", h0, p.P);
    check_state("c0", c0, p.H);
    if (lengths) check("lengths", *lengths, ScalarType::Long, {p.N});
    if (packed) find_rows();
    if (p.truncate < 0) fail("truncate must be 0 (off) or a positive number of steps, got " + std::to_string(p.truncate));
    if (from_zero) fill_zeros();
    x = dense_rows(x), w_ih = dense(w_ih), w_hh = dense(w_hh), b_ih = dense(b_ih), b_hh = dense(b_hh), w_hr = dense(w_hr);
    h0 = dense(h0), c0 = dense(c0), lengths = dense(lengths);
    p.x = data(x), p.x_stride_t = packed ? 0 : x.stride(0), p.x_stride_n = x.stride(-2);
    p.w_ih = data(w_ih), p.w_hh = data(w_hh), p.b_ih = data(b_ih), p.b_hh = data(b_hh), p.w_hr = data(w_hr);
    if (h0) p.h0 = data(h0), p.c0 = data(c0);
    p.lengths = static_cast<const int64_t*>(data(lengths));
  }

  // States that were left out. On the CPU they are no tensors: to make one costs a short call more than its zeros do.
  void fill_zeros() {
    Layer& p = layer;
    if (x.is_cpu()) {
      zeros.resize(p.N * std::max(p.P, p.H) * int64_t(x.element_size()));
      p.h0 = p.c0 = zeros.data();
      return;
    }
    h0 = empty({p.N, p.P}), torch::stable::zero_(*h0);
    if (p.traits().states == 2) c0 = empty({p.N, p.H}), torch::stable::zero_(*c0);
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

  // [T, N, columns] of a padded batch, [S, columns] of packed rows, [N, columns] of a single step.
  template <class... Columns>
  Tensor empty_rows(ScalarType type, Columns... columns) const {
    return x.dim() == 2 ? empty({x.size(0), columns...}, type) : empty({layer.T, layer.N, columns...}, type);
  }
  Tensor empty_saved() const {
    const int64_t saved = layer.traits().saved;
    return x.dim() == 2 ? kept_on(x, {x.size(0), saved, layer.H}, arithmetic(x))
                        : kept_on(x, {layer.T, layer.N, saved, layer.H}, arithmetic(x));
  }
  template <class... Columns>
  void check_rows(const char* name, const Tensor& t, ScalarType type, Columns... columns) const {
    if (x.dim() == 2) Checker{x}(name, t, type, {x.size(0), columns...});
    else Checker{x}(name, t, type, {layer.T, layer.N, columns...});
  }
  Tensor empty_state(int64_t width) const { return stacked ? empty({1, layer.N, width}) : empty({layer.N, width}); }
  void check_state(const char* name, const OptionalTensor& t, int64_t width) const {
    if (stacked) Checker{x}(name, t, {1, layer.N, width});
    else Checker{x}(name, t, {layer.N, width});
  }

  Tensor empty(std::initializer_list<int64_t> shape, ScalarType type) const { return empty_on(x, shape, type); }
  Tensor empty(std::initializer_list<int64_t> shape) const { return empty(shape, x.scalar_type()); }
  OptionalTensor empty_if(bool wanted, std::initializer_list<int64_t> shape) const {
    return wanted ? OptionalTensor(empty(shape)) : OptionalTensor();
  }
  // For the ops of a graph, which return a tensor where there is nothing, too.
  Tensor or_nothing(const OptionalTensor& t) const { return t ? *t : empty({0}); }
};

struct OnCpu {
  static constexpr bool kOutMayBeHn = true;     // of one step both are the same numbers
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
  static constexpr bool kOutMayBeHn = false, kTakesEvenRows = false, kTakesPackedRows = false;
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
Call make_call(From from, Tensor x, Tensor w_ih, Tensor w_hh, OptionalTensor b_ih, OptionalTensor b_hh, OptionalTensor w_hr,
               OptionalTensor h0, OptionalTensor c0, OptionalTensor lengths, const Settings& settings) {
  Device::require(x);
  if (!Device::kTakesPackedRows && x.dim() == 2 && lengths)  // nobody here can read lengths on another device
    fail("input must have shape [T, N, I] (packed rows are for the CPU), got " + shape_text(x));
  Call call{std::move(x),    std::move(w_ih), std::move(w_hh), std::move(b_ih),    std::move(b_hh),
            std::move(w_hr), std::move(h0),   std::move(c0),   std::move(lengths), {}};
  Layer& p = call.layer;
  p.cell = settings.cell, p.reverse = settings.reverse, p.scale = settings.scale, p.truncate = settings.truncate;
  p.clip = settings.clip, p.clip_limit = settings.clip_limit;
  call.check_and_fill(from);
  Device::check_lengths(p);
  return call;
}

// Gradients of the weights of a call: of what is there and wanted.
struct WeightGradients {
  OptionalTensor dw_ih, dw_hh, db_ih, db_hh, dw_hr;

  WeightGradients(const Call& call, bool wanted)
      : WeightGradients(call, wanted, call.layer.traits().gates * call.layer.H, call.b_ih && wanted, call.b_hh && wanted,
                        call.w_hr && wanted) {}

  void fill(Backward& b) const {
    b.dw_ih = data(dw_ih), b.dw_hh = data(dw_hh), b.db_ih = data(db_ih), b.db_hh = data(db_hh), b.dw_hr = data(dw_hr);
  }
  void zero() {
    for (OptionalTensor* t : {&dw_ih, &dw_hh, &dw_hr, &db_ih, &db_hh})
      if (*t) torch::stable::zero_(**t);
  }

 private:
  WeightGradients(const Call& call, bool wanted, int64_t rows, bool input_bias, bool state_bias, bool projected)
      : dw_ih(call.empty_if(wanted, {rows, call.layer.I})), dw_hh(call.empty_if(wanted, {rows, call.layer.P})),
        db_ih(call.empty_if(input_bias, {rows})), db_hh(call.empty_if(state_bias, {rows})),
        dw_hr(call.empty_if(projected, {call.layer.P, call.layer.H})) {}
};

}  // namespace seqgrad
