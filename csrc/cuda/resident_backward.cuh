// Backward through all time steps with the recurrent weights in shared memory, and the norms: paths block and grid (whose
// slices exchange dz_t through `dz` and meet once per step, twice when the norm of a whole state decides on clipping).
//
// Per step: the state gradient is completed, measured and clipped, the cell's backward turns it into dz, and
// dz W_hh carries it to the step before. Carries stay with their thread, in float, from the last step to the first.
#pragma once

#include "block.cuh"
#include "norms.cuh"

namespace seqgrad::cuda {

template <class S, class Cell>
class BackwardBlock {
  static constexpr CellTraits kTraits = Cell::kTraits;
  static constexpr int G = kTraits.gates, D = kTraits.planes(), kSaved = kTraits.saved, kRecurrent = kTraits.recurrent_plane();
  static constexpr bool kTwoStates = kTraits.states == 2, kReadsH = kTraits.reads_h, kReadsPrevious = kTraits.reads_previous;
  static constexpr int kGradH = 0, kGradCarry = 1, kGradC = 2, kHits = 3;  // rows of `sums`

 public:
  __device__ __forceinline__ explicit BackwardBlock(const ResidentBackward& params)
      : BackwardBlock(params, make_layout(Pass::backward, G, kTraits.split, Storage<S>::kType, params.H, params.tiles)) {}

  __device__ __forceinline__ void run() {
    for (int64_t k = 0; k < p.T; ++k) {
      const int64_t t = time(k);
      complete(t, k);
      if (p.clip == ClipKind::norm) {
        meet();
        measure_rows(k);
        __syncthreads();
      }
#pragma unroll
      for (int e = 0; e < kMaxPairs; ++e)
        if (warp_has(e)) cell_backward(e, t, k);
      meet();
      product(t);
      if (p.norms) report(t, k);
      __syncthreads();
      // Truncated BPTT: the way to the step before crosses a multiple of `truncate` in input time.
      const bool cut = p.truncate > 0 && (p.reverse ? t + 1 : t) % p.truncate == 0;
#pragma unroll
      for (int e = 0; e < kMaxPairs; ++e)
        if (pair[e].here()) carry_on(e, t, cut);
    }
    finish();
  }

 private:
  struct Given {  // what a step reads from memory, asked for one step ahead
    float grad_out, h, previous, saved[kSaved > 0 ? kSaved : 1];
  };

  const ResidentBackward& p;
  const Place place;
  const Geometry l;
  const bool exchange;
  GroupBarrier barrier;
  const int warp;
  S *weights, *operand;
  float* partial;
  double* sums;  // [kMaxNorms][rows][segments]
  Pair pair[kMaxPairs];
  Given given[kMaxPairs];
  float dh[kMaxPairs], dc[kMaxPairs];  // carried to the step at hand; dh becomes the total, then what bypasses W_hh

  __device__ __forceinline__ BackwardBlock(const ResidentBackward& params, const Layout& layout)
      : p(params), place(params), l(layout), exchange(params.tiles.slices > 1), barrier(params.counters, place.group, params.tiles.slices),
        warp(warp_number()) {
    Shared shared;
    weights = shared.take<S>(layout.weights);
    operand = shared.take<S>(layout.operand);
    partial = shared.take<float>(layout.partial);
    shared.take<float>(layout.bias);  // none: keeps the order of layout.h
    sums = shared.take<double>(layout.sums);
    load_weights(weights, l, false, [&](int k, int u) { return weight(k, u); });
    fill_zero(operand, layout.operand);
    begin();
    __syncthreads();
  }

  __device__ __forceinline__ int64_t time(int64_t k) const { return p.reverse ? k : p.T - 1 - k; }
  __device__ __forceinline__ int64_t sample(int e) const { return place.n0 + pair[e].row(); }
  __device__ __forceinline__ int64_t unit(int e) const { return place.u0 + pair[e].unit(); }
  __device__ __forceinline__ int64_t state(int e) const { return sample(e) * p.H + unit(e); }  // in [N, H]
  // Backward enters a sample at the last step that forward processed, and leaves it at the first.
  __device__ __forceinline__ bool enters(int e, int64_t t) const { return t == (p.reverse ? 0 : pair[e].length - 1); }
  __device__ __forceinline__ bool leaves(int e, int64_t t) const { return t == (p.reverse ? pair[e].length - 1 : 0); }

  __device__ __forceinline__ void meet() {
    if (exchange) barrier.arrive(), barrier.wait();
    else __syncthreads();
  }

  __device__ __forceinline__ const S* weight(int k, int u) const {
    return k < G * p.H && u < place.units ? static_cast<const S*>(p.w_hh) + k * p.H + place.u0 + u : nullptr;
  }

  __device__ __forceinline__ void begin() {
#pragma unroll
    for (int e = 0; e < kMaxPairs; ++e) {
      pair[e] = place.pair(p, l, e);
      dh[e] = dc[e] = 0.0f;
      if (pair[e].here()) ask(e, 0);
    }
  }

  __device__ __forceinline__ void ask(int e, int64_t k) {
    const int64_t t = time(k), now = t * p.N + sample(e), before = now + (p.reverse ? p.N : -p.N);
    if (k >= p.T || t >= pair[e].length) return;
    const bool first = leaves(e, t);
    Given& g = given[e];
    g.grad_out = read<S>(p.grad_out, t * p.grad_out_stride_t + sample(e) * p.grad_out_stride_n + unit(e));
    if constexpr (kReadsH) g.h = read<S>(p.out, now * p.H + unit(e));
    if constexpr (kReadsPrevious) g.previous = first ? read<S>(p.h0, state(e)) : read<S>(p.out, before * p.H + unit(e));
    if constexpr (kTwoStates) g.previous = first ? read<S>(p.c0, state(e)) : p.saved[(before * kSaved + Cell::kSavedCell) * p.H + unit(e)];
#pragma unroll
    for (int i = 0; i < kSaved; ++i) g.saved[i] = p.saved[(now * kSaved + i) * p.H + unit(e)];
  }

  __device__ __forceinline__ int segment_lanes() const { return l.lanes < 32 ? l.lanes : 32; }
  __device__ __forceinline__ int sum_at(int norm, int row) const { return (norm * int(p.tiles.rows) + row) * l.segments; }

  // Whether any lane of this warp has pair e: sums are taken by whole warps.
  __device__ __forceinline__ bool warp_has(int e) const { return e * int(blockDim.x) + warp * 32 < place.rows * l.lanes; }

  // A warp's share of a sum belongs to (norm, row, segment): in shared memory, or where the other slices can read it.
  __device__ __forceinline__ void share(int e, int norm, int64_t k, double value) {
    const int index = e * int(blockDim.x) + int(threadIdx.x), row = index / l.lanes;
    if (index % segment_lanes() != 0 || row >= place.rows) return;
    const int at = sum_at(norm, row) + index % l.lanes / 32;
    if (exchange) __stcg(round(k, place.slice) + at, value);
    else sums[at] = value;
  }

  // Two rounds suffice: who writes round k + 2 has seen every block of the group arrive after it read round k.
  __device__ __forceinline__ double* round(int64_t k, int slice) const {
    return p.partial + (((k % 2) * p.tiles.groups + place.group) * p.tiles.slices + slice) * kMaxNorms * p.tiles.rows * l.segments;
  }

  // One warp: the sum of all shares of (norm, row), the same in every lane, in a fixed order.
  __device__ __forceinline__ double total(int norm, int row, int64_t k) const {
    const int at = sum_at(norm, row), shares = exchange ? int(p.tiles.slices) * l.segments : l.segments;
    double sum = 0.0;
    for (int first = 0; first < shares; first += 32) {
      const int i = first + int(threadIdx.x) % 32;
      if (i < shares) sum += exchange ? __ldcg(round(k, i / l.segments) + at + i % l.segments) : sums[at + i];
    }
    return segment_sum(sum, 32);
  }

  // total = carried + direct, in place of the carried one, and both are measured.
  __device__ __forceinline__ void complete(int64_t t, int64_t k) {
    const int lanes = segment_lanes();
#pragma unroll
    for (int e = 0; e < kMaxPairs; ++e) {
      if (!warp_has(e)) continue;
      const bool alive = t < pair[e].length;
      float carried = 0.0f;
      if (alive) {
        const bool entering = enters(e, t);
        if (entering) dh[e] = 0.0f, dc[e] = kTwoStates ? read<S>(p.grad_cn, state(e)) : 0.0f;
        carried = dh[e];
        dh[e] += given[e].grad_out;
        if (entering) dh[e] += read<S>(p.grad_hn, state(e));
      } else {
        dh[e] = 0.0f;
      }
      if (p.norms) share(e, kGradCarry, k, segment_squares(carried, lanes));
      if (p.norms || p.clip == ClipKind::norm) share(e, kGradH, k, segment_squares(dh[e], lanes));
    }
  }

  // Clipping by norm: the norm of every whole row, into the first segment of the row's hits.
  __device__ __forceinline__ void measure_rows(int64_t k) {
    const int warps = blockDim.x / 32;
    for (int row = warp; row < place.rows; row += warps) {
      const double sum = total(kGradH, row, k);
      if (threadIdx.x % 32 == 0) sums[sum_at(kHits, row)] = ::sqrt(sum);
    }
  }

  __device__ __forceinline__ void clip(int e, int64_t k, bool alive) {
    if (p.clip == ClipKind::norm) {
      const double length = alive ? sums[sum_at(kHits, pair[e].row())] : 0.0;
      if (length > p.clip_limit) dh[e] *= static_cast<float>(p.clip_limit / length);
    } else if (p.clip == ClipKind::value) {
      const float limit = static_cast<float>(p.clip_limit);
      const bool above = dh[e] > limit, below = dh[e] < -limit;  // this way round NaN stays
      dh[e] = above ? limit : (below ? -limit : dh[e]);
      if (p.norms) share(e, kHits, k, segment_sum(above || below ? 1.0 : 0.0, segment_lanes()));
    }
  }

  __device__ __forceinline__ void cell_backward(int e, int64_t t, int64_t k) {
    const bool alive = t < pair[e].length;
    clip(e, k, alive);
    StepGrad<float> grad{};
    if (alive) {
      Step<float> cell{};
#pragma unroll
      for (int i = 0; i < kSaved; ++i) cell.saved[i] = given[e].saved[i];
      if constexpr (kReadsH) cell.h = given[e].h;
      if constexpr (kReadsPrevious) cell.h_prev = given[e].previous;
      if constexpr (kTwoStates) cell.c_prev = given[e].previous;
      grad.dh = dh[e], grad.dc = dc[e];
      Cell::template backward<DeviceMath<float>>(cell, grad, p.scale);
      dh[e] = grad.dh_prev;
      if constexpr (kTwoStates) dc[e] = grad.dc_prev;
    }
    if constexpr (kTwoStates)
      if (p.norms) share(e, kGradC, k, segment_squares(grad.dc_total, segment_lanes()));
    if (!pair[e].here()) return;
    S* dz = static_cast<S*>(p.dz) + (t * p.N + sample(e)) * D * p.H + unit(e);
#pragma unroll
    for (int plane = 0; plane < D; ++plane) {
      const S value = from_arithmetic<S>(grad.dz[plane]);
      dz[plane * p.H] = value;
      if (!exchange && plane >= kRecurrent) operand[pair[e].row() * l.lda + (plane - kRecurrent) * int(p.H) + pair[e].unit()] = value;
    }
    ask(e, k + 1);
  }

  __device__ __forceinline__ void product(int64_t t) {
    const int chunk = exchange ? int(p.tiles.k_chunk) : l.k_padded;
    const bool aligned = p.H * sizeof(S) % 16 == 0 && on_16_bytes(p.dz);
    for (int k0 = 0; k0 < l.k_padded; k0 += chunk) {
      const int depth = l.k_padded - k0 < chunk ? l.k_padded - k0 : chunk;
      if (exchange) {
        if (k0) __syncthreads();  // all warps are done with the chunk before
        load_operand(operand, l.lda, place.rows, k0, depth, G * p.H, aligned,
                     [&](int r) { return static_cast<const S*>(p.dz) + ((t * p.N + place.n0 + r) * D + kRecurrent) * p.H; });
        __syncthreads();
      }
      multiply(operand, weights, partial, l.product(p.tiles, k0, depth));
    }
  }

  // Norms of this step: one warp per (norm, row); the slices of a group share the rows out.
  __device__ __forceinline__ void report(int64_t t, int64_t k) {
    const int warps = blockDim.x / 32, slices = int(p.tiles.slices);
    const int mine = place.rows > place.slice ? (place.rows - place.slice + slices - 1) / slices : 0;
    for (int item = warp; item < mine * p.norm_rows.count; item += warps) {
      const int output = item / mine, row = place.slice + item % mine * slices;
      const int norm = output == p.norm_rows.grad_c ? kGradC : output == p.norm_rows.clip_hits ? kHits : output;
      float value;
      if (norm == kHits && p.clip == ClipKind::norm) value = sums[sum_at(kHits, row)] > p.clip_limit ? 1.0f : 0.0f;
      else value = static_cast<float>(norm == kHits ? total(norm, row, k) : ::sqrt(total(norm, row, k)));
      if (threadIdx.x % 32 == 0) p.norms[(output * p.T + t) * p.N + place.n0 + row] = value;
    }
  }

  __device__ __forceinline__ void carry_on(int e, int64_t t, bool cut) {
    if (t >= pair[e].length) return;
    dh[e] += sum_parts(partial, l, p.tiles.k_parts, pair[e].row(), pair[e].unit());
    if (leaves(e, t)) store(e);
    else if (cut) dh[e] = dc[e] = 0.0f;
  }

  __device__ __forceinline__ void store(int e) {
    static_cast<S*>(p.dh0)[state(e)] = from_arithmetic<S>(dh[e]);
    if constexpr (kTwoStates) static_cast<S*>(p.dc0)[state(e)] = from_arithmetic<S>(dc[e]);
  }

  __device__ __forceinline__ void finish() {  // samples without a step: hn is h0
#pragma unroll
    for (int e = 0; e < kMaxPairs; ++e) {
      if (pair[e].length != 0) continue;
      dh[e] = read<S>(p.grad_hn, state(e));
      if constexpr (kTwoStates) dc[e] = read<S>(p.grad_cn, state(e));
      store(e);
    }
  }
};

template <class S, class Cell>
__global__ void __launch_bounds__(kMaxThreads, 1) resident_backward_kernel(const ResidentBackward p) {
  if constexpr (kHasProduct<S>) BackwardBlock<S, Cell>(p).run();
}

}  // namespace seqgrad::cuda
