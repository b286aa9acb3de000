// The emulator's own tests: products of fragments are matrix products in every layout, wherever the seed puts elements.
#include <vector>

#include "../../cpp/check.h"
#include "emulator.h"

using namespace seqgrad;
using namespace seqgrad::emulator;
namespace wmma = nvcuda::wmma;

namespace {

template <class T>
struct Product {
  const T *a, *b;
  const float* c;
  float *d, *slots;
  unsigned lda, ldb, ldc;
};

inline void set(__half& to, float v) { to = __float2half_rn(v); }
inline void set(__nv_bfloat16& to, float v) { to = __float2bfloat16_rn(v); }

template <class T, class LayoutA, class LayoutB, wmma::layout_t kLayoutC>
__global__ void product_kernel(Product<T> p) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, T, LayoutA> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, T, LayoutB> b;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  wmma::load_matrix_sync(a, p.a, p.lda);
  wmma::load_matrix_sync(b, p.b, p.ldb);
  wmma::load_matrix_sync(sum, p.c, p.ldc, kLayoutC);
  wmma::mma_sync(sum, a, b, sum);
  wmma::mma_sync(sum, a, b, sum);
  wmma::store_matrix_sync(p.d, sum, p.ldc, kLayoutC);
  for (int i = 0; i < sum.num_elements; ++i) p.slots[threadIdx.x * sum.num_elements + i] = sum.x[i];
}

template <class T, class LayoutA, class LayoutB, wmma::layout_t kLayoutC>
std::vector<float> check_product(uint64_t seed) {
  constexpr unsigned kStride = 24;
  constexpr bool kColumnsA = std::is_same_v<LayoutA, wmma::col_major>, kColumnsB = std::is_same_v<LayoutB, wmma::col_major>;
  alignas(32) T a[16 * kStride], b[16 * kStride];
  alignas(32) float c[16 * kStride], d[16 * kStride];
  std::vector<float> slots(256);
  for (unsigned i = 0; i < 16 * kStride; ++i)
    set(a[i], float(int(i * 7 % 17) - 8)), set(b[i], float(int(i * 5 % 13) - 6)), c[i] = float(i % 11);
  set_schedule({Policy::uniform, seed});
  const Product<T> p{a, b, c, d, slots.data(), kStride, kStride, kStride};
  CHECK(cuda::launch(product_kernel<T, LayoutA, LayoutB, kLayoutC>, dim3(1), 32, 0, nullptr, p, false) == cudaSuccess);
  const auto at = [](bool columns, unsigned row, unsigned column) { return columns ? column * kStride + row : row * kStride + column; };
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 16; ++column) {
      float sum = c[at(kLayoutC == wmma::mem_col_major, row, column)];
      for (unsigned k = 0; k < 16; ++k) sum += 2 * float(a[at(kColumnsA, row, k)]) * float(b[at(kColumnsB, k, column)]);
      CHECK(d[at(kLayoutC == wmma::mem_col_major, row, column)] == sum);  // small integers: exact
    }
  return slots;
}

}  // namespace

TEST(products_in_every_layout) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    check_product<__half, wmma::row_major, wmma::row_major, wmma::mem_row_major>(seed);
    check_product<__half, wmma::col_major, wmma::row_major, wmma::mem_col_major>(seed);
    check_product<__nv_bfloat16, wmma::row_major, wmma::col_major, wmma::mem_row_major>(seed);
    check_product<__nv_bfloat16, wmma::col_major, wmma::col_major, wmma::mem_col_major>(seed);
  }
}

TEST(no_kernel_can_rely_on_who_holds_what) {
  const auto one = check_product<__half, wmma::row_major, wmma::row_major, wmma::mem_row_major>(1);
  const auto two = check_product<__half, wmma::row_major, wmma::row_major, wmma::mem_row_major>(2);
  CHECK(one != two);
}
