// What the resident kernels (paths block and grid) are given, and their launchers. Pointers are to device memory.
#pragma once

#include "plan.h"
#include "runtime.h"

namespace seqgrad::cuda {

struct ResidentForward {
  int64_t T, N, H;
  Tiles tiles;
  bool reverse;
  double scale;             // of the residual cells
  const int64_t* lengths;   // [N] or null: all T
  const void* wx;           // [T, N, G*H]: W_ih x_t, no bias
  const void* w_hh;         // [G*H, H]
  const void *b_ih, *b_hh;  // [G*H] or null
  const void *h0, *c0;      // [N, H]; c0 for two-state cells
  void *out, *hn, *cn;      // [T, N, H], zero beyond a length; [N, H]
  float* saved;             // [T, N, S, H] or null
  unsigned* counters;       // [groups], kCounterBytes apart; grid path
};

struct ResidentBackward {
  int64_t T, N, H;
  Tiles tiles;
  bool reverse;
  double scale;
  const int64_t* lengths;
  const void* w_hh;
  const void *h0, *c0;
  const void* out;  // as forward left it
  const float* saved;
  const void* grad_out;  // [T, N, H] with strides, last index dense, or null
  int64_t grad_out_stride_t, grad_out_stride_n;
  const void *grad_hn, *grad_cn;  // [N, H] or null
  int64_t truncate;               // 0: off
  ClipKind clip;
  double clip_limit;
  void* dz;         // [T, N, planes, H], zero beyond a length; planes in the order of core/step.h
  void *dh0, *dc0;  // [N, H]
  float* norms;     // [Q, T, N] or null
  NormRows norm_rows;
  double* partial;  // partial_norms(tiles); grid path with norms or clip_norm
  unsigned* counters;
};

// Launch on `stream`; the runtime's error comes back (a cooperative grid that cannot be co-resident is refused there).
cudaError_t launch_forward(CellId cell, DType dtype, Path path, const ResidentForward& params, int64_t shared, cudaStream_t stream);
cudaError_t launch_backward(CellId cell, DType dtype, Path path, const ResidentBackward& params, int64_t shared, cudaStream_t stream);

}  // namespace seqgrad::cuda
