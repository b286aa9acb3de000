// What a monitor wants to know of a forward that just ran (seqgrad/_forward_figures.py), as plain structs. No torch.
#pragma once

#include <cstdint>

#include "layer.h"

namespace seqgrad {

// Figures of the rows of values [T, N, width], the last index dense. "A": the arithmetic type.
struct Rows {
  DType dtype = DType::float32;
  const void* values = nullptr;
  int64_t T = 0, N = 0, width = 0, stride_t = 0, stride_n = 0;
  double level = 1;
  void* norm = nullptr;     // A [T, N] L2 norm, or null
  void* peak = nullptr;     // A [T, N] largest |value|, NaN where one is; or null
  float* beyond = nullptr;  // [T, N] share with |value| > level, or null
};

// Shares of gate activations at either end of their nonlinearity, of saved [T, N, planes, H]: at the time steps
// offset, offset + stride, ..., of the samples 0, every, 2 every, ...
struct GateEnds {
  bool wide = false;  // A is double
  const void* saved = nullptr;
  int64_t T = 0, N = 0, planes = 0, H = 0, gates = 0, offset = 0, stride = 1, every = 1;
  int64_t candidate = -1;            // a tanh: both of its ends count as high
  const int64_t* lengths = nullptr;  // [N] or null: all T
  double level = 1;
  float* low = nullptr;   // [gates, steps] share below 1 - level
  float* high = nullptr;  // [gates, steps] share above level

  int64_t steps() const { return (T - offset + stride - 1) / stride; }
};

}  // namespace seqgrad
