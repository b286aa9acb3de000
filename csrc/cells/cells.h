// The ONE list of cells. Everything else (engines, ops, Python's table, tests, benchmarks) iterates over it.
#pragma once

#include "gru.h"
#include "lstm.h"
#include "rnn.h"

// clang-format off
#define SEQGRAD_CELLS(X)               \
  X(rnn_tanh, Rnn<Tanh>)               \
  X(rnn_relu, Rnn<Relu>)               \
  X(residual_tanh, ResidualRnn<Tanh>)  \
  X(residual_relu, ResidualRnn<Relu>)  \
  X(gru, Gru)                          \
  X(lstm, Lstm)
// clang-format on

namespace seqgrad {

enum class CellId : int {
#define SEQGRAD_CELL(name, type) name,
  SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
};

struct CellInfo {
  const char* name;
  CellTraits traits;
};

constexpr CellInfo kCells[] = {
#define SEQGRAD_CELL(name, type) {#name, type::kTraits},
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
};
constexpr int kCellCount = sizeof(kCells) / sizeof(kCells[0]);

}  // namespace seqgrad
