// Forward over all time steps with the recurrent weights in shared memory: paths block (one slice per group of samples)
// and grid (several slices, which exchange h_t through `out` and meet once per step).
//
// Per step: pre-activations = h_{t-1} W_hh^T for the block's units, then the cell on (sample, unit) pairs; h and c of a
// pair stay with its thread, in float, from the first step to the last.
#pragma once

#include "block.cuh"

namespace seqgrad::cuda {

template <class S, class Cell>
class ForwardBlock {
  static constexpr int G = Cell::kTraits.gates, kSaved = Cell::kTraits.saved;
  static constexpr bool kTwoStates = Cell::kTraits.states == 2, kSplit = Cell::kTraits.split;

 public:
  __device__ __forceinline__ explicit ForwardBlock(const ResidentForward& params)
      : ForwardBlock(params, make_layout(Pass::forward, G, kSplit, Storage<S>::kType, params.H, params.tiles)) {}

  __device__ __forceinline__ void run() {
    const bool exchange = p.tiles.slices > 1;
    GroupBarrier barrier(p.counters, place.group, p.tiles.slices);
    for (int64_t k = 0; k < p.T; ++k) {
      const int64_t t = time(k);
      if (exchange && k > 0) barrier.wait();
      product(t, exchange);
      __syncthreads();
#pragma unroll
      for (int e = 0; e < kMaxPairs; ++e)
        if (pair[e].here()) step(e, t, k + 1, exchange);
      if (!exchange) __syncthreads();
      else if (k + 1 < p.T) barrier.arrive();
    }
    finish();
  }

 private:
  const ResidentForward& p;
  const Place place;
  const Geometry l;
  S *weights, *operand;   // see weight_at; [r_padded][lda]
  float *partial, *bias;  // [k_parts][r_padded][c_padded], [G (+ 1, the recurrent side of a split gate)][units]
  Pair pair[kMaxPairs];
  float h[kMaxPairs], c[kMaxPairs];
  float wx[kMaxPairs][G];  // of the step to come, asked for one step ahead

  __device__ __forceinline__ ForwardBlock(const ResidentForward& params, const Layout& layout) : p(params), place(params), l(layout) {
    Shared shared;
    weights = shared.take<S>(layout.weights);
    operand = shared.take<S>(layout.operand);
    partial = shared.take<float>(layout.partial);
    bias = shared.take<float>(layout.bias);
    load_weights(weights, l, true, [&](int k, int column) { return weight(k, column); });
    load_bias();
    fill_zero(operand, layout.operand);
    __syncthreads();
    begin();
    __syncthreads();
  }

  __device__ __forceinline__ int64_t time(int64_t k) const { return p.reverse ? p.T - 1 - k : k; }
  __device__ __forceinline__ int64_t sample(int e) const { return place.n0 + pair[e].row(); }
  __device__ __forceinline__ int64_t unit(int e) const { return place.u0 + pair[e].unit(); }

  // Column g * units + u of the operand's partner is row (g, u0 + u) of W_hh.
  __device__ __forceinline__ const S* weight(int k, int column) const {
    const int units = int(p.tiles.units), gate = column / units, u = column - gate * units;
    return gate < G && u < place.units && k < p.H ? static_cast<const S*>(p.w_hh) + (gate * p.H + place.u0 + u) * p.H + k : nullptr;
  }

  __device__ __forceinline__ void load_bias() {
    const int units = int(p.tiles.units);
    for (int i = threadIdx.x; i < (G + kSplit) * units; i += blockDim.x) {
      const int gate = i / units, u = i % units;
      if (u >= place.units) continue;
      const bool recurrent = gate == G, apart = kSplit && gate >= G - 1;
      const int64_t at = (recurrent ? G - 1 : gate) * p.H + place.u0 + u;
      bias[i] = (recurrent ? 0.0f : read<S>(p.b_ih, at)) + (recurrent || !apart ? read<S>(p.b_hh, at) : 0.0f);
    }
  }

  __device__ __forceinline__ void begin() {
#pragma unroll
    for (int e = 0; e < kMaxPairs; ++e) {
      pair[e] = place.pair(p, l, e);
      h[e] = c[e] = 0.0f;
      if (!pair[e].here()) continue;
      const int64_t at = sample(e) * p.H + unit(e);
      h[e] = read<S>(p.h0, at);
      if constexpr (kTwoStates) c[e] = read<S>(p.c0, at);
      if (p.tiles.slices == 1) operand[pair[e].row() * l.lda + pair[e].unit()] = from_arithmetic<S>(h[e]);
      ask(e, 0);
    }
  }

  __device__ __forceinline__ void ask(int e, int64_t k) {
    const int64_t t = time(k);
    if (k >= p.T || t >= pair[e].length) return;
    const S* from = static_cast<const S*>(p.wx) + (t * p.N + sample(e)) * G * p.H + unit(e);
#pragma unroll
    for (int g = 0; g < G; ++g) wx[e][g] = to_arithmetic(from[g * p.H]);
  }

  // A block that is alone has h_{t-1} in `operand` already; others fetch all units of their samples, chunk by chunk.
  __device__ __forceinline__ void product(int64_t t, bool exchange) {
    const int chunk = exchange ? int(p.tiles.k_chunk) : l.k_padded;
    const int64_t before = p.reverse ? t + 1 : t - 1;
    const bool first = before < 0 || before >= p.T;
    const bool aligned = p.H * sizeof(S) % 16 == 0 && on_16_bytes(p.out) && on_16_bytes(p.h0);
    for (int k0 = 0; k0 < l.k_padded; k0 += chunk) {
      const int depth = l.k_padded - k0 < chunk ? l.k_padded - k0 : chunk;
      if (exchange) {
        if (k0) __syncthreads();  // all warps are done with the chunk before
        load_operand(operand, l.lda, place.rows, k0, depth, p.H, aligned, [&](int r) {
          const int64_t n = place.n0 + r;
          const bool begun = !first && (!p.reverse || !p.lengths || before < p.lengths[n]);
          return begun ? static_cast<const S*>(p.out) + (before * p.N + n) * p.H : static_cast<const S*>(p.h0) + n * p.H;
        });
        __syncthreads();
      }
      multiply(operand, weights, partial, l.product(p.tiles, k0, depth));
    }
  }

  __device__ __forceinline__ void step(int e, int64_t t, int64_t next, bool exchange) {
    const int64_t at = (t * p.N + sample(e)) * p.H + unit(e);
    float* saved = p.saved ? p.saved + (t * p.N + sample(e)) * kSaved * p.H + unit(e) : nullptr;
    S* out = static_cast<S*>(p.out) + at;
    if (t >= pair[e].length) {
      *out = from_arithmetic<S>(0.0f);
      if (saved)
        for (int i = 0; i < kSaved; ++i) saved[i * p.H] = 0.0f;
    } else {
      Step<float> cell;
#pragma unroll
      for (int g = 0; g < G; ++g) {
        cell.in[g] = wx[e][g] + bias[g * int(p.tiles.units) + pair[e].unit()];
        cell.rec[g] = sum_parts(partial, l, p.tiles.k_parts, pair[e].row(), g * int(p.tiles.units) + pair[e].unit());
      }
      if constexpr (kSplit) cell.rec[G - 1] += bias[G * int(p.tiles.units) + pair[e].unit()];
      cell.h_prev = h[e], cell.c_prev = c[e];
      Cell::template forward<DeviceMath<float>>(cell, p.scale);
      h[e] = cell.h;
      if constexpr (kTwoStates) c[e] = cell.c;
      *out = from_arithmetic<S>(cell.h);
      if (!exchange) operand[pair[e].row() * l.lda + pair[e].unit()] = from_arithmetic<S>(cell.h);
      if (saved) {
#pragma unroll
        for (int i = 0; i < kSaved; ++i) saved[i * p.H] = cell.saved[i];
      }
    }
    ask(e, next);
  }

  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int e = 0; e < kMaxPairs; ++e) {
      if (!pair[e].here()) continue;
      const int64_t at = sample(e) * p.H + unit(e);
      static_cast<S*>(p.hn)[at] = from_arithmetic<S>(h[e]);
      if constexpr (kTwoStates) static_cast<S*>(p.cn)[at] = from_arithmetic<S>(c[e]);
    }
  }
};

template <class S, class Cell>
__global__ void __launch_bounds__(kMaxThreads, 1) resident_forward_kernel(const ResidentForward p) {
  if constexpr (kHasProduct<S>) ForwardBlock<S, Cell>(p).run();
}

}  // namespace seqgrad::cuda
