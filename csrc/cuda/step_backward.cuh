// The pointwise kernels of path `step`, backward: one block per sample, its units dealt to the threads, always the same
// ones to the same thread. The loop over time, and with it the order of steps, is the host's.
//
// Without a projection one kernel does a whole step; with one (LSTM's proj_size) the product with w_hr lies between
// completing the state gradient [P] and the cell's backward [H], so two kernels share the work.
#pragma once

#include "../core/layer.h"
#include "step_norms.cuh"

namespace seqgrad::cuda {

// Pointers are to one time step unless T is in the shape. S storage, A arithmetic.
struct BackwardStep {
  int64_t T, N, H, P, t;
  bool reverse;
  bool cut;  // truncated BPTT: nothing came over from the step worked on before
  double scale;
  const int64_t* lengths;  // [N] or null: all T
  const void *h0, *c0;     // [N, P], [N, H] S
  const void* out;         // [T, N, P] S
  const void* saved;       // [T, N, saved, H] A
  const void* grad_out;    // [N, P] S, `grad_out_stride` from sample to sample, or null
  int64_t grad_out_stride;
  const void *grad_hn, *grad_cn;  // [N, P], [N, H] S or null
  ClipKind clip;
  double clip_limit;
  void* dh;         // [N, P] A: dz W_hh of the step before; made the total gradient of the state
  void* bypass;     // [N, H] A: what reaches h_{t-1} without W_hh; null: nothing does
  void* dc;         // [N, H] A
  void* dz;         // [N, planes, H] S
  void *dh0, *dc0;  // [N, P], [N, H] S or null
  void* norms;      // [Q, T, N] A or null
  NormRows rows;
  void* projected;  // [N, P] S: dh as the product with w_hr reads it; null: no projection
  const void* dm;   // [N, H] A: gradient of what the projection saw
  void* cells;      // [N, H] S: what the projection saw, or null
};

template <class Cell>
constexpr int kPlanes = Cell::kTraits.planes();

constexpr int64_t kStepScratch = 8;  // values per warp that a block of these kernels sums: 7, and 3 in a second sum

__device__ __forceinline__ int64_t length_of(const BackwardStep& p, int64_t n) {
  const int64_t length = p.lengths ? p.lengths[n] : p.T;
  return length < 0 ? 0 : (length > p.T ? p.T : length);
}

template <class A>
__device__ __forceinline__ void store_norm(const BackwardStep& p, int row, int64_t n, A value) {
  if (threadIdx.x == 0) static_cast<A*>(p.norms)[(row * p.T + p.t) * p.N + n] = value;
}

// dh0 and dc0 of a sample whose first step has been worked on.
template <class S>
__device__ __forceinline__ void leave(const BackwardStep& p, int64_t n) {
  using A = ArithmeticOf<S>;
  for (int64_t u = threadIdx.x; p.dh0 && u < p.P; u += blockDim.x) {
    const A bypass = p.bypass ? static_cast<const A*>(p.bypass)[n * p.P + u] : A(0);
    static_cast<S*>(p.dh0)[n * p.P + u] = from_arithmetic<S>(static_cast<const A*>(p.dh)[n * p.P + u] + bypass);
  }
  for (int64_t u = threadIdx.x; p.dc0 && u < p.H; u += blockDim.x)
    static_cast<S*>(p.dc0)[n * p.H + u] = from_arithmetic<S>(static_cast<const A*>(p.dc)[n * p.H + u]);
}

// After the last step: the samples that no step has taken leave of, and those that had no step at all (h_n is h_0).
template <class S>
__global__ void step_leave_kernel(BackwardStep p) {
  const int64_t n = blockIdx.x, length = length_of(p, n);
  if (length > 0 && (!p.reverse || length == p.T)) leave<S>(p, n);
  if (length > 0) return;
  for (int64_t u = threadIdx.x; p.dh0 && u < p.P; u += blockDim.x)
    static_cast<S*>(p.dh0)[n * p.P + u] = from_arithmetic<S>(read<S>(p.grad_hn, n * p.P + u));
  for (int64_t u = threadIdx.x; p.dc0 && u < p.H; u += blockDim.x)
    static_cast<S*>(p.dc0)[n * p.H + u] = from_arithmetic<S>(read<S>(p.grad_cn, n * p.H + u));
}

// A step beyond the sample's length. (In reverse the step just after its first one is where a sample leaves.)
template <class S, class Cell>
__device__ __forceinline__ void dead_step(const BackwardStep& p, int64_t n, int64_t length) {
  constexpr int D = kPlanes<Cell>;
  if (p.reverse && length > 0 && p.t == length) leave<S>(p, n);
  for (int64_t u = threadIdx.x; u < D * p.H; u += blockDim.x) static_cast<S*>(p.dz)[n * D * p.H + u] = from_arithmetic<S>(0);
  for (int64_t u = threadIdx.x; p.cells && u < p.H; u += blockDim.x) static_cast<S*>(p.cells)[n * p.H + u] = from_arithmetic<S>(0);
}

template <class S>
__device__ __forceinline__ void dead_state(const BackwardStep& p, int64_t n) {
  for (int row = 0; p.norms && row < p.rows.count; ++row) store_norm(p, row, n, ArithmeticOf<S>(0));
  for (int64_t u = threadIdx.x; p.projected && u < p.P; u += blockDim.x) static_cast<S*>(p.projected)[n * p.P + u] = from_arithmetic<S>(0);
}

// total = carried + direct: measured, then clipped, in place of the carried one. Every thread keeps to its own units.
template <class S>
__device__ __forceinline__ void complete_state_gradient(const BackwardStep& p, int64_t n, bool enters, ArithmeticOf<S>* scratch) {
  using A = ArithmeticOf<S>;
  A* dh = static_cast<A*>(p.dh) + n * p.P;
  const A limit = static_cast<A>(p.clip_limit);
  SquareSum<A> carried, total;
  A hits = 0;
  for (int64_t u = threadIdx.x; u < p.P; u += blockDim.x) {
    A g = 0;
    if (!enters && !p.cut) g = dh[u] + (p.bypass ? static_cast<const A*>(p.bypass)[n * p.P + u] : A(0));
    carried.add(g);
    g += read<S>(p.grad_out, n * p.grad_out_stride + u);
    if (enters) g += read<S>(p.grad_hn, n * p.P + u);
    total.add(g);
    if (p.clip == ClipKind::value) {
      const bool above = g > limit, below = g < -limit;  // NaN stays
      hits += above || below ? A(1) : A(0);
      g = above ? limit : (below ? -limit : g);
    }
    dh[u] = g;
  }
  if (p.norms || p.clip == ClipKind::norm) {
    A sums[] = {carried.large, carried.middle, carried.small, total.large, total.middle, total.small, hits};
    block_sums(sums, scratch);
    const Length<A> length = SquareSum<A>{sums[3], sums[4], sums[5]}.length();
    const double whole = static_cast<double>(length.root) * static_cast<double>(length.scale);
    const bool hit = p.clip == ClipKind::norm && whole > p.clip_limit;
    if (hit) {
      const A factor = static_cast<A>(p.clip_limit / whole);
      for (int64_t u = threadIdx.x; u < p.P; u += blockDim.x) dh[u] *= factor;
    }
    if (p.norms) {
      store_norm(p, p.rows.grad_h, n, length.value());
      store_norm(p, p.rows.grad_carry, n, SquareSum<A>{sums[0], sums[1], sums[2]}.length().value());
      if (p.clip != ClipKind::none) store_norm(p, p.rows.clip_hits, n, p.clip == ClipKind::norm ? A(hit ? 1 : 0) : sums[6]);
    }
  }
  for (int64_t u = threadIdx.x; p.projected && u < p.P; u += blockDim.x)
    static_cast<S*>(p.projected)[n * p.P + u] = from_arithmetic<S>(dh[u]);
}

// The cell on all units of one sample; `dh` [H] is its gradient.
template <class S, class Cell>
__device__ __forceinline__ void cell_backward(const BackwardStep& p, int64_t n, int64_t length, const ArithmeticOf<S>* dh,
                                              ArithmeticOf<S>* scratch) {
  using A = ArithmeticOf<S>;
  constexpr CellTraits kTraits = Cell::kTraits;
  constexpr int D = kPlanes<Cell>;
  const bool enters = p.t == (p.reverse ? 0 : length - 1), leaves = p.t == (p.reverse ? length - 1 : 0);
  const int64_t now = p.t * p.N + n, before = now + (p.reverse ? p.N : -p.N);
  const A* saved = static_cast<const A*>(p.saved) + now * kTraits.saved * p.H;
  SquareSum<A> cell_sum;
  for (int64_t u = threadIdx.x; u < p.H; u += blockDim.x) {
    Step<A> s;
    StepGrad<A> grad;
#pragma unroll
    for (int k = 0; k < kTraits.saved; ++k) s.saved[k] = saved[k * p.H + u];
    if constexpr (kTraits.reads_h) s.h = read<S>(p.out, now * p.P + u);
    if constexpr (kTraits.reads_previous) s.h_prev = leaves ? read<S>(p.h0, n * p.P + u) : read<S>(p.out, before * p.P + u);
    if constexpr (kTraits.states == 2) {
      s.c_prev =
          leaves ? read<S>(p.c0, n * p.H + u) : static_cast<const A*>(p.saved)[(before * kTraits.saved + Cell::kSavedCell) * p.H + u];
      const A carried = p.cut ? A(0) : static_cast<const A*>(p.dc)[n * p.H + u];
      grad.dc = enters ? read<S>(p.grad_cn, n * p.H + u) : carried;
    }
    grad.dh = dh[u];
    Cell::template backward<DeviceMath<A>>(s, grad, p.scale);
#pragma unroll
    for (int plane = 0; plane < D; ++plane) static_cast<S*>(p.dz)[(n * D + plane) * p.H + u] = from_arithmetic<S>(grad.dz[plane]);
    if (p.bypass) static_cast<A*>(p.bypass)[n * p.H + u] = grad.dh_prev;
    if constexpr (kTraits.states == 2) {
      cell_sum.add(grad.dc_total);
      static_cast<A*>(p.dc)[n * p.H + u] = grad.dc_prev;
      if (p.cells) static_cast<S*>(p.cells)[n * p.H + u] = from_arithmetic<S>(s.saved[3] * DeviceMath<A>::tanh(s.saved[Cell::kSavedCell]));
    }
  }
  if constexpr (kTraits.states == 2) {
    if (!p.norms) return;
    A sums[] = {cell_sum.large, cell_sum.middle, cell_sum.small};
    block_sums(sums, scratch);
    store_norm(p, p.rows.grad_c, n, SquareSum<A>{sums[0], sums[1], sums[2]}.length().value());
  }
}

template <class S, class Cell>
__global__ void step_backward_kernel(BackwardStep p) {
  using A = ArithmeticOf<S>;
  Shared shared;
  const int64_t warps = blockDim.x / 32, n = blockIdx.x, length = length_of(p, n);
  A* first = shared.take<A>(kStepScratch * warps);
  A* second = shared.take<A>(kStepScratch * warps);
  if (p.t >= length) {
    dead_step<S, Cell>(p, n, length);
    return dead_state<S>(p, n);
  }
  complete_state_gradient<S>(p, n, p.t == (p.reverse ? 0 : length - 1), first);
  cell_backward<S, Cell>(p, n, length, static_cast<const A*>(p.dh) + n * p.P, second);
}

// The two halves of a step with a projection.
template <class S>
__global__ void step_state_kernel(BackwardStep p) {
  Shared shared;
  const int64_t n = blockIdx.x, length = length_of(p, n);
  ArithmeticOf<S>* scratch = shared.take<ArithmeticOf<S>>(kStepScratch * (blockDim.x / 32));
  if (p.t >= length) return dead_state<S>(p, n);
  complete_state_gradient<S>(p, n, p.t == (p.reverse ? 0 : length - 1), scratch);
}

template <class S, class Cell>
__global__ void step_cell_kernel(BackwardStep p) {
  using A = ArithmeticOf<S>;
  Shared shared;
  const int64_t n = blockIdx.x, length = length_of(p, n);
  A* scratch = shared.take<A>(kStepScratch * (blockDim.x / 32));
  if (p.t >= length) return dead_step<S, Cell>(p, n, length);
  cell_backward<S, Cell>(p, n, length, static_cast<const A*>(p.dm) + n * p.H, scratch);
}

}  // namespace seqgrad::cuda
