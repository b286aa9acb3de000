// The tiny problems of the self-check, their two runs and the comparison; and the memory of what came out.
#include "self_check.h"

#include <cmath>
#include <cstdio>
#include <vector>

#include "matrix.h"
#include "rows.h"
#include "types.h"

namespace seqgrad::cuda {
namespace {

struct Problem {
  int64_t T, N, I, H;
  bool reverse;
  ClipKind clip;
  int64_t truncate;
};
// No size is a whole tile; one block of the smallest device (64 KiB of shared memory) holds either.
constexpr Problem kProblems[] = {{6, 5, 7, 45, false, ClipKind::none, 0}, {5, 19, 3, 21, true, ClipKind::norm, 2}};

// Values between -bound and bound that look random and are the same everywhere.
class Numbers {
 public:
  std::vector<float> draw(int64_t count, float bound) {
    std::vector<float> values(count);
    for (float& v : values) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      v = bound * (static_cast<float>(state >> 40) / static_cast<float>(1 << 23) - 1.0f);
    }
    return values;
  }

 private:
  uint64_t state = 20;
};

// A named array of results in device memory, and what it held.
struct Result {
  const char* name;
  void* data;
  int64_t count;
  DType dtype;
  std::vector<float> values;
};

class Check {
 public:
  Check(const Context& given, CellId cell, DType dtype, const Problem& problem) : context(given) {
    p.cell = cell, p.dtype = dtype, p.T = problem.T, p.N = problem.N, p.I = problem.I, p.H = p.P = problem.H;
    p.reverse = problem.reverse, p.scale = 0.5, p.truncate = problem.truncate, p.clip = problem.clip, p.clip_limit = 0.5;
    G = p.traits().gates, two = p.traits().states == 2;
    // At its bend a relu falls to either side by rounding, and whole terms of a gradient with it: units are kept off it
    // (pre-activations stay above 0.6 in size), half of them on either side.
    const bool bends = cell == CellId::rnn_relu || cell == CellId::residual_relu;
    const float bound = (bends ? 0.35f : 1.5f) / std::sqrt(static_cast<float>(p.H));
    p.w_ih = upload(G * p.H * p.I, bound), p.w_hh = upload(G * p.H * p.H, bound);
    p.b_ih = upload(G * p.H, bound, bends ? 2 : 0), p.b_hh = upload(G * p.H, bound);
    p.x = upload(p.T * p.N * p.I, 1), p.x_stride_t = p.N * p.I, p.x_stride_n = p.I;
    p.h0 = upload(p.N * p.H, 1), p.c0 = two ? upload(p.N * p.H, 1) : nullptr;
    grad_out = upload(p.T * p.N * p.H, 1), grad_hn = upload(p.N * p.H, 1), grad_cn = two ? upload(p.N * p.H, 1) : nullptr;
    for (int64_t n = 0; n < p.N; ++n) lengths.push_back(p.T - n % (p.T + 1));  // from T down to 0
    void* device_lengths = context.allocate(context.self, p.N * static_cast<int64_t>(sizeof(int64_t)));
    copy(device_lengths, lengths.data(), p.N * sizeof(int64_t), cudaMemcpyHostToDevice);
    p.lengths = static_cast<const int64_t*>(device_lengths);
  }

  // What the engine computes along `path`, back on the host.
  void run(Path path, const ResidentKernels& kernels, std::vector<Result>& results) {
    Context on_path = context;
    on_path.wish = name(path);
    const Plan ahead = plan_for(p, Pass::forward, on_path), back = plan_for(p, Pass::backward, on_path);
    if (ahead.path != path || back.path != path) throw LaunchRefused("no plan for the problem that the check is made of");
    const DType A = arithmetic(p.dtype);
    const int64_t NH = p.N * p.H;
    const auto make = [&](const char* what, int64_t count, DType dtype) {
      results.push_back({what, allocate(context, count, dtype), count, dtype, {}});
      return results.back().data;
    };
    ForwardOut to;
    to.out = make("out", p.T * NH, p.dtype), to.hn = make("hn", NH, p.dtype), to.cn = two ? make("cn", NH, p.dtype) : nullptr;
    to.saved = allocate(context, p.T * NH * p.traits().saved, A);
    Backward b;
    b.out = to.out, b.saved = to.saved, b.grad_out = grad_out, b.grad_out_stride_t = NH, b.grad_out_stride_n = p.H;
    b.grad_hn = grad_hn, b.grad_cn = grad_cn;
    b.dx = make("dx", p.T * p.N * p.I, p.dtype);
    b.dw_ih = make("dw_ih", G * p.H * p.I, p.dtype), b.dw_hh = make("dw_hh", G * p.H * p.H, p.dtype);
    b.db_ih = make("db_ih", G * p.H, p.dtype), b.db_hh = make("db_hh", G * p.H, p.dtype);
    b.dh0 = make("dh0", NH, p.dtype), b.dc0 = two ? make("dc0", NH, p.dtype) : nullptr;
    // Every norm by itself, carried ones may be far smaller than total ones. Clipping's hits are left out: whether a norm lies
    // above the limit is decided by its last bit.
    const NormRows rows = norm_rows(p);
    const int64_t TN = p.T * p.N;
    b.norms = allocate(context, rows.count * TN, A);
    results.push_back({"grad_h", at(b.norms, rows.grad_h * TN, A), TN, A, {}});
    results.push_back({"grad_carry", at(b.norms, rows.grad_carry * TN, A), TN, A, {}});
    if (two) results.push_back({"grad_c", at(b.norms, rows.grad_c * TN, A), TN, A, {}});
    if (!run_forward(p, to, context, ahead, kernels) || !run_backward(p, b, context, back, kernels))
      throw LaunchRefused("the device refused the cooperative launch");
    for (Result& result : results) download(result);
    check(cudaStreamSynchronize(stream_of(context)), "cudaStreamSynchronize");
  }

 private:
  const Context& context;
  Layer p;
  int64_t G;
  bool two;
  Numbers numbers;
  std::vector<std::vector<float>> uploaded;  // alive until the copies have been made
  std::vector<int64_t> lengths;
  void *grad_out, *grad_hn, *grad_cn;

  void copy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) const {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_of(context)), "cudaMemcpyAsync");
  }

  // Types are converted on the device: the host needs no 16-bit arithmetic.
  void* upload(int64_t count, float bound, float offset = 0) {
    uploaded.push_back(numbers.draw(count, bound));
    for (int64_t i = 0; i < count; ++i) uploaded.back()[i] += i % 2 ? offset : -offset;
    void* wide = allocate(context, count, DType::float32);
    copy(wide, uploaded.back().data(), count * sizeof(float), cudaMemcpyHostToDevice);
    void* array = allocate(context, count, p.dtype);
    launch_convert(array, wide, count, p.dtype, false, stream_of(context));
    return array;
  }

  void download(Result& result) const {
    void* wide = allocate(context, result.count, DType::float32);
    launch_convert(wide, result.data, result.count, result.dtype, true, stream_of(context));
    result.values.resize(result.count);
    copy(result.values.data(), wide, result.count * sizeof(float), cudaMemcpyDeviceToHost);
  }
};

// Rounding makes paths differ by a few units in the last place, of the largest value of an array where sums cancel; a
// wrong slice, a stale state or a lost step differs by about that value.
double tolerance(DType dtype) { return dtype == DType::float32 ? 1e-4 : dtype == DType::float16 ? 1.0 / 64 : 1.0 / 16; }

// One sentence on the array that is furthest off, or nothing.
std::string compare(const std::vector<Result>& got, const std::vector<Result>& expected, DType dtype) {
  double worst = 1;
  std::string sentence;
  for (size_t i = 0; i < expected.size(); ++i) {
    double most = 0;
    for (float v : expected[i].values) most = std::fmax(most, std::fabs(v));
    for (size_t k = 0; k < expected[i].values.size(); ++k) {
      const double off = std::fabs(static_cast<double>(got[i].values[k]) - expected[i].values[k]) / (most * tolerance(dtype) + 1e-30);
      if (off <= worst) continue;
      worst = std::isnan(off) ? INFINITY : off;
      sentence = std::string(expected[i].name) + "[" + std::to_string(k) + "] is " + std::to_string(got[i].values[k]) + " and should be " +
                 std::to_string(expected[i].values[k]);
    }
  }
  return sentence;
}

bool capturing(const Context& context) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream_of(context), &status), "cudaStreamIsCapturing");
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace

std::string self_check(const Context& context, CellId cell, DType dtype, Path path, const ResidentKernels& kernels) {
  if (dtype == DType::float64) return "float64 has no resident kernels";
  for (const Problem& problem : kProblems) {
    Check check(context, cell, dtype, problem);
    std::vector<Result> got, expected;
    check.run(Path::step, kernels, expected);
    try {
      check.run(path, kernels, got);
    } catch (const LaunchRefused& refused) { return refused.what(); }
    if (const std::string mismatch = compare(got, expected, dtype); !mismatch.empty()) return mismatch;
  }
  return "";
}

void Trust::to_stderr(const char* line) { std::fprintf(stderr, "%s\n", line); }

bool Trust::trusts(const Context& context, CellId cell, DType dtype, Path path) {
  const Key key{context.device, cell, dtype, path};
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = states.find(key);
    if (found != states.end()) return found->second == State::trusted;
    if (capturing(context)) return false;
    states[key] = State::checking;
  }
  const auto settle = [&](const State* state) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (state) states[key] = *state;
    else states.erase(key);
  };
  std::string mismatch;
  try {
    mismatch = self_check(context, cell, dtype, path, kernels);
  } catch (...) {  // out of memory, a lost device: says nothing about the path
    settle(nullptr);
    throw;
  }
  const State state = mismatch.empty() ? State::trusted : State::refused;
  settle(&state);
  if (!mismatch.empty()) {
    const std::string line = "seqgrad: the " + std::string(name(path)) + " kernels for " + kCells[static_cast<int>(cell)].name +
                             " failed their check against path step on device " + std::to_string(context.device) + " (" + mismatch +
                             "); path step is used instead. Please report this.";
    warn(line.c_str());
    if (context.warn) context.warn(line.c_str());
  }
  return state == State::trusted;
}

}  // namespace seqgrad::cuda
