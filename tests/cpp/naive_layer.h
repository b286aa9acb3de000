// One layer and direction the slow way, in double: plain loops around the formulas of csrc/cells, no layouts, no SIMD.
// The formulas have their own test (test_cells.cpp); what this checks is everything the engine builds around them.
#pragma once

#include <cmath>
#include <vector>

#include "core/layer.h"
#include "scalar_math.h"

namespace naive {

using seqgrad::Layer;
using Row = std::vector<double>;

// What a layer reads, dense and in double. Shapes as in Layer; lengths always given.
struct Inputs {
  Row w_ih, w_hh, b_ih, b_hh, w_hr, x, h0, c0, grad_out, grad_hn, grad_cn;
  std::vector<int64_t> lengths;
};

struct Outputs {
  Row out, hn, cn;
  Row dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0;
  Row grad_h, grad_carry, grad_c, hits;  // [T, N]
};

template <class Cell>
class OneLayer {
  static constexpr seqgrad::CellTraits kTraits = Cell::kTraits;
  static constexpr int G = kTraits.gates;

 public:
  OneLayer(const Layer& layer, const Inputs& inputs) : p(layer), in(inputs) {
    to.out.assign(p.T * p.N * p.P, 0), to.hn = in.h0, to.cn = in.c0;
    to.dx.assign(p.T * p.N * p.I, 0), to.dh0.assign(p.N * p.P, 0), to.dc0.assign(in.c0.size(), 0);
    to.dw_ih.assign(G * p.H * p.I, 0), to.dw_hh.assign(G * p.H * p.P, 0), to.dw_hr.assign(in.w_hr.size(), 0);
    to.db_ih.assign(G * p.H, 0), to.db_hh.assign(G * p.H, 0);
    for (Row* row : {&to.grad_h, &to.grad_carry, &to.grad_c, &to.hits}) row->assign(p.T * p.N, 0);
  }

  Outputs run() {
    for (int64_t n = 0; n < p.N; ++n) sample(n);
    return to;
  }

 private:
  const Layer& p;
  const Inputs& in;
  Outputs to;

  struct Moment {
    int64_t t;
    Row h_before;                              // [P]
    std::vector<seqgrad::Step<double>> units;  // [H]
  };

  void sample(int64_t n) {
    Row h(&in.h0[n * p.P], &in.h0[n * p.P] + p.P), c(p.H, 0.0);
    if (!in.c0.empty()) c.assign(&in.c0[n * p.H], &in.c0[n * p.H] + p.H);
    std::vector<Moment> past;
    for (int64_t k = 0; k < in.lengths[n]; ++k) {
      past.push_back(forward(p.reverse ? in.lengths[n] - 1 - k : k, n, h, c));
      for (int64_t j = 0; j < p.P; ++j) to.out[(past.back().t * p.N + n) * p.P + j] = h[j];
    }
    for (int64_t j = 0; j < p.P; ++j) to.hn[n * p.P + j] = h[j];
    for (int64_t u = 0; !in.c0.empty() && u < p.H; ++u) to.cn[n * p.H + u] = c[u];
    backward(n, past);
  }

  Moment forward(int64_t t, int64_t n, Row& h, Row& c) const {
    Moment now{t, h, std::vector<seqgrad::Step<double>>(p.H)};
    Row m(p.H);
    for (int64_t u = 0; u < p.H; ++u) {
      seqgrad::Step<double>& s = now.units[u];
      s = {};
      for (int g = 0; g < G; ++g) {
        const int64_t row = g * p.H + u;
        s.in[g] = in.b_ih[row], s.rec[g] = in.b_hh[row];
        for (int64_t i = 0; i < p.I; ++i) s.in[g] += in.w_ih[row * p.I + i] * in.x[(t * p.N + n) * p.I + i];
        for (int64_t j = 0; j < p.P; ++j) s.rec[g] += in.w_hh[row * p.P + j] * h[j];
      }
      s.h_prev = p.w_hr ? 0 : h[u], s.c_prev = c[u];
      Cell::template forward<ScalarMath>(s, p.scale);
      m[u] = s.h;
      if (kTraits.states == 2) c[u] = s.c;
    }
    if (!p.w_hr) h = m;
    for (int64_t j = 0; p.w_hr && j < p.P; ++j) {
      h[j] = 0;
      for (int64_t u = 0; u < p.H; ++u) h[j] += in.w_hr[j * p.H + u] * m[u];
    }
    return now;
  }

  static double length(const Row& row) {
    double sum = 0;
    for (double v : row) sum += v * v;
    return std::sqrt(sum);
  }

  void backward(int64_t n, const std::vector<Moment>& past) {
    Row dh(&in.grad_hn[n * p.P], &in.grad_hn[n * p.P] + p.P), dc(p.H, 0.0);
    if (!in.c0.empty()) dc.assign(&in.grad_cn[n * p.H], &in.grad_cn[n * p.H] + p.H);
    for (size_t k = past.size(); k-- > 0;) {
      const int64_t t = past[k].t, at = t * p.N + n;
      to.grad_carry[at] = k + 1 == past.size() ? 0 : length(dh);  // grad_hn is a direct term
      for (int64_t j = 0; j < p.P; ++j) dh[j] += in.grad_out[at * p.P + j];
      to.grad_h[at] = length(dh);
      clip(dh, at);
      step_back(n, past[k], dh, dc);
      if (p.truncate > 0 && k > 0 && (p.reverse ? t + 1 : t) % p.truncate == 0) dh.assign(p.P, 0), dc.assign(p.H, 0);
    }
    for (int64_t j = 0; j < p.P; ++j) to.dh0[n * p.P + j] = dh[j];
    for (int64_t u = 0; !in.c0.empty() && u < p.H; ++u) to.dc0[n * p.H + u] = dc[u];
  }

  void clip(Row& dh, int64_t at) {
    const double limit = p.clip_limit, norm = to.grad_h[at];
    for (double& g : dh) {
      if (p.clip == seqgrad::ClipKind::value && std::fabs(g) > limit) g = std::copysign(limit, g), ++to.hits[at];
      if (p.clip == seqgrad::ClipKind::norm && norm > limit) g *= limit / norm, to.hits[at] = 1;
    }
  }

  void step_back(int64_t n, const Moment& now, Row& dh, Row& dc) {
    Row before(p.P, 0.0), dm = dh, total(p.H, 0.0);
    if (p.w_hr) {
      dm.assign(p.H, 0.0);
      for (int64_t j = 0; j < p.P; ++j)
        for (int64_t u = 0; u < p.H; ++u) {
          dm[u] += in.w_hr[j * p.H + u] * dh[j];
          to.dw_hr[j * p.H + u] += dh[j] * now.units[u].h;
        }
    }
    for (int64_t u = 0; u < p.H; ++u) {
      seqgrad::StepGrad<double> g{};
      g.dh = dm[u], g.dc = dc[u];
      Cell::template backward<ScalarMath>(now.units[u], g, p.scale);
      if (!p.w_hr) before[u] += g.dh_prev;
      if (kTraits.states == 2) dc[u] = g.dc_prev, total[u] = g.dc_total;
      for (int plane = 0; plane < G; ++plane) input_side(n, now.t, kTraits.gate_of_input_plane(plane) * p.H + u, g.dz[plane]);
      for (int gate = 0; gate < G; ++gate) recurrent_side(now.h_before, gate * p.H + u, g.dz[kTraits.recurrent_plane() + gate], before);
    }
    to.grad_c[now.t * p.N + n] = length(total);
    dh = before;
  }

  void input_side(int64_t n, int64_t t, int64_t row, double dz) {
    to.db_ih[row] += dz;
    for (int64_t i = 0; i < p.I; ++i) {
      to.dw_ih[row * p.I + i] += dz * in.x[(t * p.N + n) * p.I + i];
      to.dx[(t * p.N + n) * p.I + i] += dz * in.w_ih[row * p.I + i];
    }
  }

  void recurrent_side(const Row& h, int64_t row, double dz, Row& before) {
    to.db_hh[row] += dz;
    for (int64_t j = 0; j < p.P; ++j) to.dw_hh[row * p.P + j] += dz * h[j], before[j] += dz * in.w_hh[row * p.P + j];
  }
};

inline Outputs run(const Layer& layer, const Inputs& inputs) {
  using namespace seqgrad;
  switch (layer.cell) {
#define SEQGRAD_CELL(name, type) \
  case CellId::name: return OneLayer<type>(layer, inputs).run();
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
  return {};
}

}  // namespace naive
