// Context::multiply in plain loops: sums in float (double for float64), rounded once to the type of the result.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <stdexcept>
#include <string>

#include "cuda/engine.h"

namespace seqgrad::emulator {

inline double element(const cuda::Matrix& m, int64_t row, int64_t column) {
  const int64_t i = row * m.row_stride + column * m.column_stride;
  switch (m.dtype) {
    case DType::float32: return static_cast<const float*>(m.data)[i];
    case DType::float64: return static_cast<const double*>(m.data)[i];
    case DType::bfloat16: return __bfloat162float(static_cast<const __nv_bfloat16*>(m.data)[i]);
    case DType::float16: return __half2float(static_cast<const __half*>(m.data)[i]);
  }
  return 0;
}

inline void set_element(const cuda::Matrix& m, int64_t row, int64_t column, double value) {
  const int64_t i = row * m.row_stride + column * m.column_stride;
  switch (m.dtype) {
    case DType::float32: static_cast<float*>(m.data)[i] = float(value); break;
    case DType::float64: static_cast<double*>(m.data)[i] = value; break;
    case DType::bfloat16: static_cast<__nv_bfloat16*>(m.data)[i] = __float2bfloat16_rn(float(value)); break;
    case DType::float16: static_cast<__half*>(m.data)[i] = __float2half_rn(float(value)); break;
  }
}

// What torch's mm asks of its arguments.
inline void check_product(const cuda::Matrix& out, const cuda::Matrix& a, const cuda::Matrix& b) {
  const auto refuse = [](const std::string& why) { throw std::invalid_argument("multiply: " + why); };
  if (a.rows != out.rows || b.columns != out.columns || a.columns != b.rows) refuse("shapes do not fit");
  if (a.dtype != b.dtype) refuse("operands of different types");
  if (out.dtype != a.dtype && out.dtype != DType::float32) refuse("the result is neither of the operands' type nor float32");
  for (const cuda::Matrix* m : {&out, &a, &b}) {
    if (!m->data) refuse("no memory");
    if (m->rows > 1 && m->columns > 1 && m->row_stride != 1 && m->column_stride != 1) refuse("a matrix dense in no index");
  }
}

inline void naive_multiply(void*, const cuda::Matrix& out, const cuda::Matrix& a, const cuda::Matrix& b) {
  check_product(out, a, b);
  for (int64_t i = 0; i < out.rows; ++i)
    for (int64_t j = 0; j < out.columns; ++j) {
      double wide = 0;
      float narrow = 0;
      for (int64_t k = 0; k < a.columns; ++k) {
        if (a.dtype == DType::float64) wide += element(a, i, k) * element(b, k, j);
        else narrow += float(element(a, i, k)) * float(element(b, k, j));
      }
      set_element(out, i, j, a.dtype == DType::float64 ? wide : double(narrow));
    }
}

}  // namespace seqgrad::emulator
