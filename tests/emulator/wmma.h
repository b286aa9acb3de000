// nvcuda::wmma for 16 x 16 x 16 products of 16-bit types with float accumulators. Which lane holds which element is
// undocumented on a device, so here it is permuted by the seed. Every operation asks for all 32 lanes; none orders memory.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>
#include <type_traits>

#include "runtime_calls.h"

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

namespace emulated {

namespace em = ::seqgrad::emulator;

template <class Use>
constexpr em::Operand operand() {
  if constexpr (std::is_same_v<Use, matrix_a>) return em::Operand::a;
  else if constexpr (std::is_same_v<Use, matrix_b>) return em::Operand::b;
  else return em::Operand::accumulator;
}

inline float to_float(float v) { return v; }
inline float to_float(__half v) { return __half2float(v); }
inline float to_float(__nv_bfloat16 v) { return __bfloat162float(v); }

template <class T>
void check_tile(const T* tile, unsigned stride, const em::Where& where) {
  if (reinterpret_cast<uintptr_t>(tile) % 32) em::fail_at(where, "a wmma tile must begin at a multiple of 32 bytes");
  if (stride % (16 / sizeof(T))) em::fail_at(where, "the stride of a wmma tile must be a multiple of 16 bytes");
}

}  // namespace emulated

// Begins as NaN: a fragment that nobody filled is seen.
template <class Use, int M, int N, int K, class T, class Layout = void>
class fragment {
  static_assert(M == 16 && N == 16 && K == 16, "16 x 16 x 16 alone");
  static_assert(std::is_same_v<Use, accumulator> ? std::is_same_v<T, float>
                                                 : std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>);

 public:
  using element_type = T;
  static constexpr int num_elements = ::seqgrad::emulator::kFragmentSlots;
  T x[num_elements];
  fragment() { std::memset(static_cast<void*>(x), 0xff, sizeof(x)); }
};

template <class Fragment>
void fill_fragment(Fragment& f, const typename Fragment::element_type& value) {
  for (auto& element : f.x) element = value;
}

template <class Use, class T, class Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& f, const T* tile, unsigned stride,
                      const emulated::em::Where& where = emulated::em::Where::current()) {
  static_assert(!std::is_same_v<Use, accumulator>, "an accumulator is loaded with its layout");
  emulated::check_tile(tile, stride, where);
  emulated::em::meet_warp(where);
  const uint8_t* order = emulated::em::fragment_order(emulated::operand<Use>()) + emulated::em::lane() * f.num_elements;
  for (int i = 0; i < f.num_elements; ++i) {
    const int row = order[i] / 16, column = order[i] % 16;
    f.x[i] = std::is_same_v<Layout, col_major> ? tile[column * stride + row] : tile[row * stride + column];
  }
}

inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float>& f, const float* tile, unsigned stride, layout_t layout,
                             const emulated::em::Where& where = emulated::em::Where::current()) {
  emulated::check_tile(tile, stride, where);
  emulated::em::meet_warp(where);
  const uint8_t* order = emulated::em::fragment_order(emulated::em::Operand::accumulator) + emulated::em::lane() * f.num_elements;
  for (int i = 0; i < f.num_elements; ++i) {
    const int row = order[i] / 16, column = order[i] % 16;
    f.x[i] = layout == mem_col_major ? tile[column * stride + row] : tile[row * stride + column];
  }
}

inline void store_matrix_sync(float* tile, const fragment<accumulator, 16, 16, 16, float>& f, unsigned stride, layout_t layout,
                              const emulated::em::Where& where = emulated::em::Where::current()) {
  emulated::check_tile(tile, stride, where);
  emulated::em::meet_warp(where);
  const uint8_t* order = emulated::em::fragment_order(emulated::em::Operand::accumulator) + emulated::em::lane() * f.num_elements;
  for (int i = 0; i < f.num_elements; ++i) {
    const int row = order[i] / 16, column = order[i] % 16;
    (layout == mem_col_major ? tile[column * stride + row] : tile[row * stride + column]) = f.x[i];
  }
}

template <class T, class LayoutA, class LayoutB>
void mma_sync(fragment<accumulator, 16, 16, 16, float>& d, const fragment<matrix_a, 16, 16, 16, T, LayoutA>& a,
              const fragment<matrix_b, 16, 16, 16, T, LayoutB>& b, const fragment<accumulator, 16, 16, 16, float>& c,
              const emulated::em::Where& where = emulated::em::Where::current()) {
  float wide_a[a.num_elements], wide_b[b.num_elements];
  for (int i = 0; i < a.num_elements; ++i) wide_a[i] = emulated::to_float(a.x[i]), wide_b[i] = emulated::to_float(b.x[i]);
  emulated::em::multiply_fragments(d.x, wide_a, wide_b, c.x, where);
}

}  // namespace nvcuda::wmma
