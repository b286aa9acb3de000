// Views of device memory as matrices, and the one call that multiplies them. The product itself is the caller's.
#pragma once

#include "call.h"
#include "engine.h"

namespace seqgrad::cuda {

inline char* at(const void* base, int64_t elements, DType dtype) {
  return const_cast<char*>(static_cast<const char*>(base)) + elements * element_size(dtype);
}

// [rows, columns], `stride` elements from row to row.
inline Matrix matrix(const void* data, int64_t rows, int64_t columns, int64_t stride, DType dtype) {
  return {const_cast<void*>(data), rows, columns, stride, 1, dtype};
}
inline Matrix matrix(const void* data, int64_t rows, int64_t columns, DType dtype) { return matrix(data, rows, columns, columns, dtype); }
inline Matrix transposed(const Matrix& m) { return {m.data, m.columns, m.rows, m.column_stride, m.row_stride, m.dtype}; }

inline cudaStream_t stream_of(const Context& context) { return static_cast<cudaStream_t>(context.stream); }

// out = a b for a dense `out`; a sum of no terms is zero.
inline void multiply(const Context& context, const Matrix& out, const Matrix& a, const Matrix& b) {
  if (out.rows == 0 || out.columns == 0) return;
  if (a.columns > 0) return context.multiply(context.self, out, a, b);
  check(cudaMemsetAsync(out.data, 0, out.rows * out.columns * element_size(out.dtype), stream_of(context)), "cudaMemsetAsync");
}

// Device memory that lives until the engine's call returns.
inline void* allocate(const Context& context, int64_t elements, DType dtype) {
  return elements ? context.allocate(context.self, elements * element_size(dtype)) : nullptr;
}

}  // namespace seqgrad::cuda
