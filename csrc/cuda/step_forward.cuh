// The pointwise kernels of path `step`, forward. Blocks are (sample, tile of units); the loop over time is the host's.
#pragma once

#include "math.cuh"

namespace seqgrad::cuda {

// Pointers are to one time step. S storage, A arithmetic.
struct ForwardStep {
  int64_t H, P, t;
  double scale;
  const int64_t* lengths;   // [N] or null: all T
  const void* wx;           // [N, G*H] S
  const void* rec;          // [N, G*H] A: W_hh h_{t-1}
  const void *b_ih, *b_hh;  // [G*H] S or null
  void* h;                  // [N, P] A, carried
  void* operand;            // [N, P] S: h as the next product reads it; h itself where S is A
  void* c;                  // [N, H] A, carried
  void* m;                  // [N, H] S: what the projection multiplies, or null: h is not projected
  const void* projected;    // [N, P] A: W_hr m
  void* out;                // [N, P] S
  void* saved;              // [N, saved, H] A or null
};

template <class S>
__device__ __forceinline__ void store_state(const ForwardStep& p, int64_t i, ArithmeticOf<S> h) {
  const S rounded = from_arithmetic<S>(h);
  static_cast<ArithmeticOf<S>*>(p.h)[i] = h;
  if (p.operand != p.h) static_cast<S*>(p.operand)[i] = rounded;
  static_cast<S*>(p.out)[i] = rounded;
}

template <class S, class Cell>
__global__ void step_forward_kernel(ForwardStep p) {
  using A = ArithmeticOf<S>;
  constexpr CellTraits kTraits = Cell::kTraits;
  constexpr int G = kTraits.gates;
  const int64_t n = blockIdx.x, u = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x, i = n * p.H + u;
  if (u >= p.H) return;
  A* saved = p.saved ? static_cast<A*>(p.saved) + n * kTraits.saved * p.H + u : nullptr;
  if (p.lengths && p.t >= p.lengths[n]) {
    for (int k = 0; saved && k < kTraits.saved; ++k) saved[k * p.H] = 0;
    static_cast<S*>(p.m ? p.m : p.out)[i] = from_arithmetic<S>(0);
    return;
  }
  Step<A> s;
#pragma unroll
  for (int g = 0; g < G; ++g) {
    const int64_t k = g * p.H + u;
    const A ih = read<S>(p.b_ih, k), hh = read<S>(p.b_hh, k);
    const bool apart = kTraits.split && g == G - 1;
    s.in[g] = read<S>(p.wx, n * G * p.H + k) + (apart ? ih : ih + hh);
    s.rec[g] = static_cast<const A*>(p.rec)[n * G * p.H + k] + (apart ? hh : A(0));
  }
  s.h_prev = p.m ? A(0) : static_cast<const A*>(p.h)[i];
  if constexpr (kTraits.states == 2) s.c_prev = static_cast<const A*>(p.c)[i];
  Cell::template forward<DeviceMath<A>>(s, p.scale);
  if constexpr (kTraits.states == 2) static_cast<A*>(p.c)[i] = s.c;
#pragma unroll
  for (int k = 0; k < kTraits.saved; ++k)
    if (saved) saved[k * p.H] = s.saved[k];
  if (p.m) static_cast<S*>(p.m)[i] = from_arithmetic<S>(s.h);
  else store_state<S>(p, i, s.h);
}

// The projected state takes its places.
template <class S>
__global__ void step_project_kernel(ForwardStep p) {
  const int64_t n = blockIdx.x, u = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x, i = n * p.P + u;
  if (u >= p.P) return;
  if (p.lengths && p.t >= p.lengths[n]) static_cast<S*>(p.out)[i] = from_arithmetic<S>(0);
  else store_state<S>(p, i, static_cast<const ArithmeticOf<S>*>(p.projected)[i]);
}

}  // namespace seqgrad::cuda
