// What one hidden unit sees in one time step: the arguments of every cell's two formulas.
// V is a scalar (CUDA, tests) or a SIMD vector of units (CPU). No torch, no memory layout.
#pragma once

namespace seqgrad {

constexpr int kMaxGates = 4;
constexpr int kMaxSaved = 5;
constexpr int kMaxPlanes = 4;

struct CellTraits {
  int gates;            // G: pre-activations per unit, in torch.nn's order
  int states;           // 1 (h) or 2 (h, c)
  int saved;            // values per unit kept for backward beside h itself
  bool split;           // the last gate's recurrent pre-activation has a gradient of its own (GRU)
  bool reads_h;         // backward reads h_t
  bool reads_previous;  // backward reads h_{t-1}
  bool bypass;          // some of the gradient reaches h_{t-1} without passing through W_hh: else dh_prev is zero

  // Gradient planes per unit. With split they are ordered [last gate (input side), gates..., last gate (recurrent
  // side)], so that both the input-side and the recurrent-side G planes are contiguous.
  constexpr int planes() const { return gates + (split ? 1 : 0); }
  constexpr int recurrent_plane() const { return split ? 1 : 0; }
  constexpr int gate_of_input_plane(int plane) const { return split ? (plane + gates - 1) % gates : plane; }
};

template <class V>
struct Step {
  V in[kMaxGates];   // W_ih x_t + b_ih (+ b_hh where it may be folded)
  V rec[kMaxGates];  // W_hh h_{t-1} (+ b_hh of the last gate when split)
  V h_prev, c_prev;
  V h, c;
  V saved[kMaxSaved];
};

template <class V>
struct StepGrad {
  V dh, dc;            // given: total dL/dh_t and the dL/dc_t carried from step t+1
  V dz[kMaxPlanes];    // found: gradient of the pre-activations, in plane order
  V dc_total;          // found: total dL/dc_t
  V dh_prev, dc_prev;  // found: what reaches step t-1 without passing through W_hh
};

}  // namespace seqgrad
