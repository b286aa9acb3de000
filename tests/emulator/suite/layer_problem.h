// One layer as a problem for the emulated engine: random numbers that the storage type holds exactly, plain loops in
// double as the judge (tests/cpp/naive_layer.h), guarded memory for every array. Torch-free: the sanitizers run this.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../../cpp/naive_layer.h"
#include "cuda/run.h"
#include "guarded.h"
#include "naive_multiply.h"

namespace seqgrad::emulator {

struct LayerOptions {
  // of the resident paths, explicit, so that every edge of a tile can be had with few units
  int64_t rows = 1, units = 0, k_chunk = 0;  // 0: all
  int threads = 64, row_tile = 16, k_parts = 1;
  bool reverse = false, ragged = false, norms = true, skewed = false;
  int64_t truncate = 0;
  ClipKind clip = ClipKind::none;
};

struct LayerProblem {
  const char* what;
  CellId cell;
  DType dtype;
  cuda::Path path;
  int64_t T, N, I, H;
  LayerOptions with = {};
};

inline double limit_of(ClipKind clip) { return clip == ClipKind::value ? 0.4 : 1.0; }

// By name, in double: what both sides answer.
struct Answer {
  std::string name;
  std::vector<double> values;
};

class LayerRun {
 public:
  explicit LayerRun(const LayerProblem& problem) : q(problem) {
    layer.cell = q.cell, layer.dtype = q.dtype, layer.T = q.T, layer.N = q.N, layer.I = q.I, layer.H = layer.P = q.H;
    layer.reverse = q.with.reverse, layer.scale = 0.7, layer.truncate = q.with.truncate, layer.clip = q.with.clip,
    layer.clip_limit = limit_of(q.with.clip);
    draw();
  }

  // The judge's answers.
  std::vector<Answer> expected() const {
    const naive::Outputs r = naive::run(layer, in);
    std::vector<Answer> all = {{"out", r.out},     {"hn", r.hn},       {"dx", r.dx},       {"dw_ih", r.dw_ih},
                               {"dw_hh", r.dw_hh}, {"db_ih", r.db_ih}, {"db_hh", r.db_hh}, {"dh0", r.dh0}};
    if (two()) all.push_back({"cn", r.cn}), all.push_back({"dc0", r.dc0});
    if (!q.with.norms) return all;
    all.push_back({"grad_h", r.grad_h}), all.push_back({"grad_carry", r.grad_carry});
    if (two()) all.push_back({"grad_c", r.grad_c});
    if (q.with.clip != ClipKind::none) all.push_back({"clip_hits", r.hits});
    return all;
  }

  // The emulated engine's, in the same order; throws what it throws, and if anything was written out of bounds.
  std::vector<Answer> answers() {
    const CellTraits& traits = layer.traits();
    const int64_t G = traits.gates, H = q.H, TN = q.T * q.N;
    Layer p = layer;
    memory.clear();
    p.w_ih = stored(in.w_ih), p.w_hh = stored(in.w_hh), p.b_ih = stored(in.b_ih), p.b_hh = stored(in.b_hh);
    p.x = stored(in.x), p.x_stride_t = q.N * q.I, p.x_stride_n = q.I;
    p.h0 = stored(in.h0), p.c0 = two() ? stored(in.c0) : nullptr;
    if (q.with.ragged) {
      memory.emplace_back(q.N * int64_t(sizeof(int64_t)));
      std::memcpy(memory.back().data(), in.lengths.data(), q.N * sizeof(int64_t));
      p.lengths = static_cast<const int64_t*>(memory.back().data());
    }
    std::vector<Answer> found;
    ForwardOut to{empty(TN * H), empty(q.N * H), two() ? empty(q.N * H) : nullptr, floats(TN * traits.saved * H)};
    run([&](const cuda::Context& c) { cuda::run_forward(p, to, c, plan(cuda::Pass::forward), {}); });
    Backward b;
    b.out = to.out, b.saved = to.saved;
    b.grad_out = stored(in.grad_out), b.grad_out_stride_t = q.N * H, b.grad_out_stride_n = H;
    b.grad_hn = stored(in.grad_hn), b.grad_cn = two() ? stored(in.grad_cn) : nullptr;
    b.dx = empty(TN * q.I), b.dw_ih = empty(G * H * q.I), b.dw_hh = empty(G * H * H), b.db_ih = empty(G * H), b.db_hh = empty(G * H);
    b.dh0 = empty(q.N * H), b.dc0 = two() ? empty(q.N * H) : nullptr;
    const NormRows norms = norm_rows(p);
    b.norms = q.with.norms ? floats(norms.count * TN) : nullptr;
    run([&](const cuda::Context& c) { cuda::run_backward(p, b, c, plan(cuda::Pass::backward), {}); });
    const auto add = [&](const char* name, const void* data, int64_t count) { found.push_back({name, loaded(data, count, q.dtype)}); };
    add("out", to.out, TN * H), add("hn", to.hn, q.N * H), add("dx", b.dx, TN * q.I), add("dw_ih", b.dw_ih, G * H * q.I);
    add("dw_hh", b.dw_hh, G * H * H), add("db_ih", b.db_ih, G * H), add("db_hh", b.db_hh, G * H), add("dh0", b.dh0, q.N * H);
    if (two()) add("cn", to.cn, q.N * H), add("dc0", b.dc0, q.N * H);
    const auto add_norm = [&](const char* name, int row) {
      const DType type = q.dtype == DType::float64 ? q.dtype : DType::float32;
      const int64_t size = cuda::element_size(type);
      if (q.with.norms && row >= 0) found.push_back({name, loaded(static_cast<char*>(b.norms) + row * TN * size, TN, type)});
    };
    add_norm("grad_h", norms.grad_h), add_norm("grad_carry", norms.grad_carry), add_norm("grad_c", norms.grad_c);
    add_norm("clip_hits", norms.clip_hits);
    for (const Guarded& block : memory)
      if (!block.intact()) throw std::runtime_error("a write outside of an argument");
    return found;
  }

  cuda::Plan plan(cuda::Pass pass) const {
    cuda::Plan plan;
    plan.path = q.path;
    if (q.path == cuda::Path::step) return plan;
    const CellTraits& traits = layer.traits();
    cuda::Tiles& t = plan.tiles;
    t.rows = q.with.rows, t.units = q.with.units ? q.with.units : q.H, t.slices = (q.H + t.units - 1) / t.units,
    t.groups = (q.N + q.with.rows - 1) / q.with.rows;
    t.threads = q.with.threads, t.row_tile = q.with.row_tile, t.k_parts = q.with.k_parts;
    const int64_t depth = cuda::round_up(pass == cuda::Pass::forward ? q.H : traits.gates * q.H, cuda::k_step(q.dtype));
    t.k_chunk = q.with.k_chunk && t.slices > 1 ? q.with.k_chunk : depth;
    plan.shared_bytes = cuda::make_layout(pass, traits.gates, traits.split, q.dtype, q.H, t).bytes;
    return plan;
  }

 private:
  const LayerProblem& q;
  Layer layer;
  naive::Inputs in;
  std::vector<Guarded> memory;

  bool two() const { return layer.traits().states == 2; }

  void draw() {
    std::mt19937 random(17);
    const auto uniform = [&](int64_t count, double bound) {
      naive::Row row(count);
      Guarded one(8);
      for (double& v : row) {
        const double drawn = bound * (2.0 * double(random()) / 4294967295.0 - 1);
        set_element({one.data(), 1, 1, 1, 1, q.dtype}, 0, 0, drawn);
        v = element({one.data(), 1, 1, 1, 1, q.dtype}, 0, 0);
      }
      return row;
    };
    const int64_t rows = layer.traits().gates * q.H, cells = two() ? q.N * q.H : 0;
    const double bound = 1 / std::sqrt(double(q.H));
    in.w_ih = uniform(rows * q.I, bound), in.w_hh = uniform(rows * q.H, bound), in.b_ih = uniform(rows, bound),
    in.b_hh = uniform(rows, bound);
    in.x = uniform(q.T * q.N * q.I, 1), in.h0 = uniform(q.N * q.H, 1), in.c0 = uniform(cells, 1);
    in.grad_out = uniform(q.T * q.N * q.H, 1), in.grad_hn = uniform(q.N * q.H, 1), in.grad_cn = uniform(cells, 1);
    for (int64_t n = 0; n < q.N; ++n) in.lengths.push_back(q.with.ragged ? int64_t(n == 0 ? 0 : n == 1 ? q.T : random() % (q.T + 1)) : q.T);
  }

  void* stored(const naive::Row& row) {
    const int64_t size = cuda::element_size(q.dtype);
    memory.emplace_back(int64_t(row.size()) * size, q.with.skewed ? size : 0);
    const cuda::Matrix all{memory.back().data(), 1, int64_t(row.size()), 1, 1, q.dtype};
    for (size_t i = 0; i < row.size(); ++i) set_element(all, 0, int64_t(i), row[i]);
    return memory.back().data();
  }
  void* empty(int64_t count) {
    const int64_t size = cuda::element_size(q.dtype);
    memory.emplace_back(count * size, q.with.skewed ? size : 0);
    return memory.back().data();
  }
  void* floats(int64_t count) {
    memory.emplace_back(count * (q.dtype == DType::float64 ? 8 : 4));
    return memory.back().data();
  }
  static std::vector<double> loaded(const void* data, int64_t count, DType dtype) {
    std::vector<double> values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = element({const_cast<void*>(data), 1, count, 1, 1, dtype}, 0, i);
    return values;
  }

  template <class Body>
  static void run(Body&& body) {
    Workspaces workspaces;
    cuda::Context context;
    context.limits = device();
    context.self = &workspaces, context.allocate = Workspaces::allocate, context.multiply = naive_multiply;
    body(context);
    if (!workspaces.intact()) throw std::runtime_error("a write outside of a workspace");
  }
};

}  // namespace seqgrad::emulator
