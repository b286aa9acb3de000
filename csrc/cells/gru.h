// GRU in torch.nn's form: gates r, z, n, with b_hn inside r * (W_hn h + b_hn).
#pragma once

#include "../core/macros.h"
#include "../core/step.h"

namespace seqgrad {

struct Gru {
  static constexpr CellTraits kTraits{
      .gates = 3, .states = 1, .saved = 4, .split = true, .reads_h = false, .reads_previous = true, .bypass = true};

  // clang-format off
  template <class M, class V>
  SEQGRAD_HD static void forward(Step<V>& s, double /*scale*/) {
    const V r  = M::sigmoid(s.in[0] + s.rec[0]);
    const V z  = M::sigmoid(s.in[1] + s.rec[1]);
    const V hn = s.rec[2];
    const V n  = M::tanh(s.in[2] + r * hn);
    s.h = (1 - z) * n + z * s.h_prev;
    s.saved[0] = r, s.saved[1] = z, s.saved[2] = n, s.saved[3] = hn;
  }

  template <class M, class V>
  SEQGRAD_HD static void backward(const Step<V>& s, StepGrad<V>& g, double /*scale*/) {
    const V r = s.saved[0], z = s.saved[1], n = s.saved[2], hn = s.saved[3];
    const V dn = g.dh * (1 - z) * (1 - n * n);
    g.dz[0] = dn;                                  // n, input side
    g.dz[1] = dn * hn * r * (1 - r);               // r
    g.dz[2] = g.dh * (s.h_prev - n) * z * (1 - z); // z
    g.dz[3] = dn * r;                              // n, recurrent side
    g.dh_prev = g.dh * z;
  }
  // clang-format on
};

}  // namespace seqgrad
