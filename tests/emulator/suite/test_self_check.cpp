// First use checks itself: resident kernels that agree with path `step` are trusted, planted wrong ones are not, and the
// engine then answers with the very bits of path `step`. Also what the engine does without samples or without a grid.
#include <string>
#include <vector>

#include "../../cpp/check.h"
#include "control.h"
#include "cuda/self_check.h"
#include "guarded.h"
#include "naive_multiply.h"

using namespace seqgrad;
using namespace seqgrad::emulator;
using cuda::Path;
using cuda::ResidentBackward;
using cuda::ResidentForward;

namespace {

constexpr cuda::DeviceLimits kT4{7, 5, 40, 65536, 65536, 65536, 4 << 20, true};
constexpr cuda::DeviceLimits kH100{9, 0, 132, 232448, 233472, 65536, 50 << 20, true};
constexpr cuda::DeviceLimits kSlice{8, 0, 14, 166912, 167936, 65536, 5 << 20, true};  // the smallest share of an A100

std::vector<std::string> warnings;
void warn(const char* line) { warnings.push_back(line); }

// The context of one call of the engine; at its end nothing may have been written out of bounds.
struct Session {
  Workspaces workspaces;
  cuda::Context context;

  explicit Session(const cuda::DeviceLimits& limits, const std::string& wish = "auto") {
    set_device(limits);
    context.limits = limits, context.wish = wish;
    context.self = &workspaces, context.allocate = Workspaces::allocate, context.multiply = naive_multiply;
  }
  ~Session() { CHECK(workspaces.intact()); }
};

// ---- planted kernels -----------------------------------------------------------------------------------------------

// The last unit of the last sample belongs to another slice, say: everything is right but one value in `out`.
cudaError_t one_value(CellId cell, DType dtype, Path path, const ResidentForward& p, int64_t shared, cudaStream_t stream) {
  const cudaError_t status = cuda::launch_forward(cell, dtype, path, p, shared, stream);
  const cuda::Matrix out{p.out, p.T * p.N, p.H, p.H, 1, dtype};
  set_element(out, p.N - 1, p.H - 1, element(out, p.N - 1, p.H - 1) + 0.25);
  return status;
}

cudaError_t no_lengths(CellId cell, DType dtype, Path path, const ResidentForward& p, int64_t shared, cudaStream_t stream) {
  ResidentForward other = p;
  other.lengths = nullptr;
  return cuda::launch_forward(cell, dtype, path, other, shared, stream);
}

cudaError_t no_truncation(CellId cell, DType dtype, Path path, const ResidentBackward& p, int64_t shared, cudaStream_t stream) {
  ResidentBackward other = p;
  other.truncate = 0;
  return cuda::launch_backward(cell, dtype, path, other, shared, stream);
}

// Norms of the wrong step: nothing but the norms is off.
cudaError_t late_norms(CellId cell, DType dtype, Path path, const ResidentBackward& p, int64_t shared, cudaStream_t stream) {
  const cudaError_t status = cuda::launch_backward(cell, dtype, path, p, shared, stream);
  std::memmove(p.norms, p.norms + p.N, (p.T - 1) * p.N * sizeof(float));
  return status;
}

cudaError_t nan_in_dc0(CellId cell, DType dtype, Path path, const ResidentBackward& p, int64_t shared, cudaStream_t stream) {
  const cudaError_t status = cuda::launch_backward(cell, dtype, path, p, shared, stream);
  set_element({p.dh0, p.N, p.H, p.H, 1, dtype}, 0, 0, std::nan(""));
  return status;
}

cudaError_t does_nothing(CellId, DType, Path, const ResidentForward&, int64_t, cudaStream_t) { return cudaSuccess; }
cudaError_t too_large(CellId, DType, Path, const ResidentForward&, int64_t, cudaStream_t) { return cudaErrorCooperativeLaunchTooLarge; }
cudaError_t fails(CellId, DType, Path, const ResidentForward&, int64_t, cudaStream_t) { return cudaErrorInvalidConfiguration; }

struct Planted {
  const char* what;
  cuda::ResidentKernels kernels;
};
const Planted kPlanted[] = {
    {"one value", {.forward = one_value}},
    {"no lengths", {.forward = no_lengths}},
    {"no truncation", {.backward = no_truncation}},
    {"late norms", {.backward = late_norms}},
    {"NaN", {.backward = nan_in_dc0}},
    {"nothing written", {.forward = does_nothing}},
    {"refused as too large", {.forward = too_large}},
    {"failed launch", {.forward = fails}},
};

// ---- a small layer through the engine ------------------------------------------------------------------------------

struct Small {
  static constexpr int64_t T = 4, N = 3, I = 2, H = 9, G = 4;
  std::vector<float> w_ih = ramp(G * H * I), w_hh = ramp(G * H * H), x = ramp(T * N * I), h0 = ramp(N * H), c0 = ramp(N * H);
  std::vector<float> out = nan(T * N * H), hn = nan(N * H), cn = nan(N * H), saved = nan(T * N * 5 * H);
  std::vector<float> grad_out = ramp(T * N * H), dx = nan(T * N * I), dw_hh = nan(G * H * H), norms = nan(3 * T * N);

  Layer layer() {
    Layer p;
    p.cell = CellId::lstm, p.T = T, p.N = N, p.I = I, p.H = p.P = H;
    p.w_ih = w_ih.data(), p.w_hh = w_hh.data(), p.x = x.data(), p.x_stride_t = N * I, p.x_stride_n = I;
    p.h0 = h0.data(), p.c0 = c0.data();
    return p;
  }
  ForwardOut forward() { return {out.data(), hn.data(), cn.data(), saved.data()}; }
  Backward backward() {
    Backward b;
    b.out = out.data(), b.saved = saved.data(), b.grad_out = grad_out.data(), b.grad_out_stride_t = N * H, b.grad_out_stride_n = H;
    b.dx = dx.data(), b.dw_hh = dw_hh.data(), b.norms = norms.data();
    return b;
  }
  void run(cuda::Trust& trust, const std::string& wish) {
    Session ahead(kH100, wish), back(kH100, wish);
    cuda::forward(layer(), forward(), ahead.context, trust);
    cuda::backward(layer(), backward(), back.context, trust);
  }
  bool same(const Small& other) const {
    const auto equal = [](const auto& a, const auto& b) { return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0; };
    return equal(out, other.out) && equal(hn, other.hn) && equal(cn, other.cn) && equal(dx, other.dx) && equal(dw_hh, other.dw_hh) &&
           equal(norms, other.norms);
  }

 private:
  static std::vector<float> ramp(int64_t count) {
    std::vector<float> values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = float((i * 37 + 11) % 64) / 64 - 0.5f;
    return values;
  }
  static std::vector<float> nan(int64_t count) { return std::vector<float>(count, std::nanf("")); }
};

}  // namespace

TEST(kernels_of_this_build_agree_with_path_step_on_every_device) {
  for (const auto& limits : {kT4, kH100, kSlice})
    for (int cell = 0; cell < kCellCount; ++cell)
      for (DType dtype : {DType::float32, DType::float16, DType::bfloat16})
        for (Path path : {Path::block, Path::grid}) {
          if (dtype == DType::bfloat16 && limits.major < 8) continue;
          if (sanitized() && (limits.multiprocessors > kSlice.multiprocessors || cell < int(CellId::gru))) continue;  // slow there
          check::context = std::string(kCells[cell].name) + " " + cuda::name(path) + " on " + std::to_string(limits.multiprocessors);
          Session session(limits);
          const std::string mismatch = cuda::self_check(session.context, CellId(cell), dtype, path);
          if (!mismatch.empty()) check::fail(__FILE__, __LINE__, mismatch);
        }
}

TEST(planted_kernels_are_not_trusted_warned_of_once_and_replaced_by_path_step) {
  Small expected;
  cuda::Trust of_step(&warn);
  expected.run(of_step, "step");
  for (const Planted& planted : kPlanted)
    for (const char* wish : {"block", "grid"}) {
      if (sanitized() && &planted != kPlanted) break;
      check::context = std::string(planted.what) + ", " + wish;
      warnings.clear();
      cuda::Trust trust(&warn, planted.kernels);
      for (int again = 0; again < 2; ++again) {
        Small small;
        small.run(trust, wish);
        CHECK(small.same(expected));
      }
      CHECK(warnings.size() == 1);
      CHECK(!warnings.empty() && warnings[0].find(std::string("the ") + wish + " kernels for lstm") != std::string::npos);
    }
}

TEST(planted_values_are_caught_in_16_bit_types_too) {
  for (const Planted& planted : kPlanted)
    for (DType dtype : {DType::float16, DType::bfloat16}) {
      if (sanitized() && &planted != kPlanted) break;
      check::context = planted.what;
      Session session(kH100);
      for (CellId cell : {CellId::gru, CellId::rnn_relu})
        CHECK(!cuda::self_check(session.context, cell, dtype, Path::block, planted.kernels).empty());
    }
}

TEST(a_trusted_path_is_checked_once_and_then_used) {
  warnings.clear();
  cuda::Trust trust(&warn);
  Session first(kH100);
  CHECK(trust.trusts(first.context, CellId::gru, DType::float32, Path::block));
  const int64_t launches = counts().launches;
  CHECK(trust.trusts(first.context, CellId::gru, DType::float32, Path::block));
  CHECK(counts().launches == launches);
  first.context.device = 1;  // another device is another matter
  CHECK(trust.trusts(first.context, CellId::gru, DType::float32, Path::block));
  CHECK(counts().launches > launches);
  CHECK(warnings.empty());
}

TEST(a_stream_under_capture_is_not_checked_and_takes_path_step_until_it_is) {
  warnings.clear();
  cuda::Trust trust(&warn);
  Small expected, captured, later;
  cuda::Trust of_step(&warn);
  expected.run(of_step, "step");
  set_capturing(true);
  captured.run(trust, "block");
  set_capturing(false);
  CHECK(captured.same(expected));
  CHECK(warnings.empty());
  Session session(kH100);
  CHECK(trust.trusts(session.context, CellId::lstm, DType::float32, Path::block));
  set_capturing(true);  // what has been checked may be captured
  CHECK(trust.trusts(session.context, CellId::lstm, DType::float32, Path::block));
  later.run(trust, "block");
  set_capturing(false);
}

TEST(errors_of_the_surroundings_are_thrown_and_leave_the_question_open) {
  warnings.clear();
  cuda::Trust trust(&warn);
  Session session(kH100);
  cuda::Context poor = session.context;
  poor.allocate = [](void*, int64_t) -> void* { throw std::runtime_error("out of memory"); };
  std::string said;
  try {
    trust.trusts(poor, CellId::gru, DType::float32, Path::block);
  } catch (const std::runtime_error& error) { said = error.what(); }
  CHECK(said == "out of memory");
  CHECK(trust.trusts(session.context, CellId::gru, DType::float32, Path::block));
  CHECK(warnings.empty());
}

TEST(a_batch_without_samples_has_zero_weight_gradients) {
  Small small;
  Layer p = small.layer();
  p.N = 0;
  cuda::Trust trust(&warn);
  Session session(kH100);
  cuda::forward(p, small.forward(), session.context, trust);
  Backward b = small.backward();
  b.norms = nullptr, b.dx = nullptr;
  cuda::backward(p, b, session.context, trust);
  for (float v : small.dw_hh) CHECK(v == 0);
  for (float v : small.out) CHECK(std::isnan(v));
}

TEST(only_what_is_wanted_is_computed) {
  Small small;
  cuda::Trust trust(&warn);
  Session ahead(kH100, "step"), back(kH100, "step");
  cuda::forward(small.layer(), small.forward(), ahead.context, trust);
  Backward b = small.backward();
  b.dx = nullptr, b.dw_hh = nullptr;
  static int64_t products;
  products = 0;
  back.context.multiply = [](void* self, const cuda::Matrix& out, const cuda::Matrix& x, const cuda::Matrix& y) {
    ++products, naive_multiply(self, out, x, y);
  };
  cuda::backward(small.layer(), b, back.context, trust);
  CHECK(products <= Small::T);  // those of the recurrence
  for (float v : small.norms) CHECK(!std::isnan(v));
}
