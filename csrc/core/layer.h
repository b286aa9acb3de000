// One layer, one direction, as plain structs: what ops.cpp fills and every engine (CPU, CUDA) reads. No torch.
//
// Letters: T time, N batch, I input, H hidden, P state width (H, or proj_size), G gates, S saved values, Q norms.
// Every array is dense with the rightmost index fastest unless strides are given; strides count elements.
#pragma once

#include <cstdint>
#include <type_traits>

#include "../cells/cells.h"

namespace seqgrad {

enum class DType : int { float32, float64, bfloat16, float16 };
enum class ClipKind : int { none, norm, value };

struct Layer {
  CellId cell = CellId::rnn_tanh;
  DType dtype = DType::float32;  // storage; arithmetic, `saved` and norms are float, or double for float64
  int64_t T = 0, N = 0, I = 0, H = 0, P = 0;
  bool reverse = false;
  double scale = 1.0;              // of the residual cells
  ClipKind clip = ClipKind::none;  // of the state gradient
  double clip_limit = 0.0;
  int64_t truncate = 0;              // 0: off; else the carry is cut where input time crosses a multiple
  const int64_t* lengths = nullptr;  // [N] on the host, or null: all T

  const void* w_ih = nullptr;  // [G*H, I]
  const void* w_hh = nullptr;  // [G*H, P]
  const void* b_ih = nullptr;  // [G*H] or null
  const void* b_hh = nullptr;  // [G*H] or null
  const void* w_hr = nullptr;  // [P, H] or null
  const void* x = nullptr;     // [T, N, I], last index dense
  int64_t x_stride_t = 0, x_stride_n = 0;
  // CPU, or null: packed rows. Then lengths fall from sample to sample, [T, N, *] below reads [S, *] with S the sum of
  // lengths, time step t begins at row first_row[t], and only strides from row to row (_n) count. Norms stay [Q, T, N].
  const int64_t* first_row = nullptr;
  int64_t out_width = 0;     // CPU: columns of a row of out, where it holds those of both directions; 0: P
  const void* h0 = nullptr;  // [N, P]
  const void* c0 = nullptr;  // [N, H], two-state cells

  const CellTraits& traits() const { return kCells[static_cast<int>(cell)].traits; }
  int64_t width() const { return out_width ? out_width : P; }
  int64_t length(int64_t n) const { return lengths ? lengths[n] : T; }
  int64_t row(int64_t t, int64_t n) const { return (first_row ? first_row[t] : t * N) + n; }
  int64_t at(int64_t t, int64_t n, int64_t stride_t, int64_t stride_n) const {  // the same, in an array with strides
    return first_row ? row(t, n) * stride_n : t * stride_t + n * stride_n;
  }
};

struct ForwardOut {
  void* out = nullptr;    // [T, N, P], zero beyond a sample's length
  void* hn = nullptr;     // [N, P]
  void* cn = nullptr;     // [N, H], two-state cells
  void* saved = nullptr;  // [T, N, S, H] in the arithmetic type, or null: inference
};

struct Backward {
  const void* out = nullptr;  // as forward left them
  const void* saved = nullptr;
  const void* grad_out = nullptr;  // [T, N, P] with strides, last index dense, or null: zero
  int64_t grad_out_stride_t = 0, grad_out_stride_n = 0;
  bool grad_out_even = false;     // CPU: a row is one number, P times over, as below a sum or a mean
  const void* grad_hn = nullptr;  // [N, P] or null
  const void* grad_cn = nullptr;  // [N, H] or null

  void* dx = nullptr;     // [T, N, I] or null: not wanted
  void* dw_ih = nullptr;  // as the parameters; null: not wanted
  void* dw_hh = nullptr;
  void* db_ih = nullptr;
  void* db_hh = nullptr;
  void* dw_hr = nullptr;
  void* dh0 = nullptr;    // [N, P]
  void* dc0 = nullptr;    // [N, H]
  void* norms = nullptr;  // [Q, T, N] in the arithmetic type, or null: not recording
};

// Rows of `norms`: total and carried dL/dh_t, then dL/dc_t for two-state cells, then hits when state_clip is on.
struct NormRows { int grad_h = 0, grad_carry = 1, grad_c = -1, clip_hits = -1, count = 2; };
inline NormRows norm_rows(const Layer& layer) {
  NormRows rows;
  if (layer.traits().states == 2) rows.grad_c = rows.count++;
  if (layer.clip != ClipKind::none) rows.clip_hits = rows.count++;
  return rows;
}

// How an engine gets its threads: run(context, i) for i in [0, count), in any order, on any thread.
struct Parallel {
  int threads = 1;
  void (*launch)(int64_t count, void (*run)(void*, int64_t), void* context) = nullptr;

  template <class F>
  void operator()(int64_t count, F&& body) const {
    if (count <= 1 || threads <= 1 || !launch) {
      for (int64_t i = 0; i < count; ++i) body(i);
      return;
    }
    launch(count, [](void* f, int64_t i) { (*static_cast<std::remove_reference_t<F>*>(f))(i); }, &body);
  }
};

}  // namespace seqgrad
