// From the cell and dtype of a call, known at run time, to the types that kernels are instantiated for. Host only.
#pragma once

#include <stdexcept>
#include <string>

#include "../core/layer.h"
#include "runtime.h"

namespace seqgrad::cuda {

template <class T>
struct Type {
  using type = T;
};

// visit(Type<S>{}) with the storage type S.
template <class Visit>
void with_storage(DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::float32: return visit(Type<float>{});
    case DType::float64: return visit(Type<double>{});
    case DType::bfloat16: return visit(Type<__nv_bfloat16>{});
    case DType::float16: return visit(Type<__half>{});
  }
  throw std::invalid_argument("seqgrad: unknown dtype " + std::to_string(static_cast<int>(dtype)));
}

// visit(Type<Cell>{}) with the cell's formulas.
template <class Visit>
void with_cell(CellId cell, Visit&& visit) {
  switch (cell) {
#define SEQGRAD_CELL(name, formulas) \
  case CellId::name: return visit(Type<formulas>{});
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
  throw std::invalid_argument("seqgrad: unknown cell " + std::to_string(static_cast<int>(cell)));
}

constexpr DType arithmetic(DType dtype) { return dtype == DType::float64 ? DType::float64 : DType::float32; }

}  // namespace seqgrad::cuda
