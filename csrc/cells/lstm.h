// LSTM: gates i, f, g, o; c_t = f c_{t-1} + i g; h_t = o tanh(c_t).
#pragma once

#include "../core/macros.h"
#include "../core/step.h"

namespace seqgrad {

struct Lstm {
  static constexpr int kSavedCell = 4;  // the plane of `saved` that holds c_t
  static constexpr CellTraits kTraits{
      .gates = 4, .states = 2, .saved = 5, .split = false, .reads_h = false, .reads_previous = false, .bypass = false};

  // clang-format off
  template <class M, class V>
  SEQGRAD_HD static void forward(Step<V>& s, double /*scale*/) {
    const V i = M::sigmoid(s.in[0] + s.rec[0]);
    const V f = M::sigmoid(s.in[1] + s.rec[1]);
    const V g = M::tanh   (s.in[2] + s.rec[2]);
    const V o = M::sigmoid(s.in[3] + s.rec[3]);
    s.c = f * s.c_prev + i * g;
    s.h = o * M::tanh(s.c);
    s.saved[0] = i, s.saved[1] = f, s.saved[2] = g, s.saved[3] = o, s.saved[kSavedCell] = s.c;
  }

  template <class M, class V>
  SEQGRAD_HD static void backward(const Step<V>& s, StepGrad<V>& d, double /*scale*/) {
    const V i = s.saved[0], f = s.saved[1], g = s.saved[2], o = s.saved[3];
    const V tc = M::tanh(s.saved[kSavedCell]);
    const V dc = d.dc + d.dh * o * (1 - tc * tc);
    d.dz[0] = dc * g        * i * (1 - i);
    d.dz[1] = dc * s.c_prev * f * (1 - f);
    d.dz[2] = dc * i        * (1 - g * g);
    d.dz[3] = d.dh * tc     * o * (1 - o);
    d.dc_total = dc;
    d.dc_prev = dc * f;
    d.dh_prev = V{};
  }
  // clang-format on
};

}  // namespace seqgrad
