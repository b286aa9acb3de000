// The M of csrc/cells on plain doubles.
#pragma once

#include <cmath>

struct ScalarMath {
  static double constant(double value) { return value; }
  static double tanh(double x) { return std::tanh(x); }
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
};
