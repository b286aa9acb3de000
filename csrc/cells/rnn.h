// Elman RNN, h_t = act(W x_t + U h_{t-1} + b), and its residual form h_t = h_{t-1} + scale * act(...).
#pragma once

#include "../core/macros.h"
#include "../core/step.h"

namespace seqgrad {

struct Tanh {
  template <class M, class V>
  SEQGRAD_HD static V value(V z) { return M::tanh(z); }
  template <class V>
  SEQGRAD_HD static V times_slope(V a, V d) { return d * (1 - a * a); }  // slope at z, from a = tanh(z)
};

struct Relu {  // written with <= so that NaN passes, as torch's relu and its backward let it
  template <class M, class V>
  SEQGRAD_HD static V value(V z) { return z <= V{} ? V{} : z; }
  template <class V>
  SEQGRAD_HD static V times_slope(V a, V d) { return a <= V{} ? V{} : d; }
};

template <class Activation>
struct Rnn {
  static constexpr CellTraits kTraits{
      .gates = 1, .states = 1, .saved = 0, .split = false, .reads_h = true, .reads_previous = false, .bypass = false};

  template <class M, class V>
  SEQGRAD_HD static void forward(Step<V>& s, double /*scale*/) {
    s.h = Activation::template value<M>(s.in[0] + s.rec[0]);
  }

  template <class M, class V>
  SEQGRAD_HD static void backward(const Step<V>& s, StepGrad<V>& g, double /*scale*/) {
    g.dz[0] = Activation::times_slope(s.h, g.dh);
    g.dh_prev = V{};
  }
};

// Saves the activation: h_t - h_{t-1} would cancel once the state has grown.
template <class Activation>
struct ResidualRnn {
  static constexpr CellTraits kTraits{
      .gates = 1, .states = 1, .saved = 1, .split = false, .reads_h = false, .reads_previous = false, .bypass = true};

  template <class M, class V>
  SEQGRAD_HD static void forward(Step<V>& s, double scale) {
    s.saved[0] = Activation::template value<M>(s.in[0] + s.rec[0]);
    s.h = s.h_prev + M::constant(scale) * s.saved[0];
  }

  template <class M, class V>
  SEQGRAD_HD static void backward(const Step<V>& s, StepGrad<V>& g, double scale) {
    g.dz[0] = Activation::times_slope(s.saved[0], M::constant(scale) * g.dh);
    g.dh_prev = g.dh;
  }
};

}  // namespace seqgrad
