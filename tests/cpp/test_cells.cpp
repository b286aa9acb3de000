// Every cell of csrc/cells: its backward is the derivative of its forward, by central differences in double.
#include <random>

#include "cells/cells.h"
#include "check.h"
#include "scalar_math.h"

using namespace seqgrad;

namespace {

constexpr double kScale = 0.7;  // of the residual cells
constexpr double kStep = 1e-6;  // of the differences: error about kStep^2, rounding about 1e-16 / kStep
constexpr double kTolerance = 1e-8;

using Values = Step<double>;

template <class Cell>
Values forward(Values s) {
  Cell::template forward<ScalarMath>(s, kScale);
  return s;
}

// d(a h + b c)/d(*input), with the input chosen by a pointer to its place in Values.
template <class Cell, class Place>
double difference(const Values& at, double a, double b, Place place) {
  const auto loss = [&](double shift) {
    Values s = at;
    place(s) += shift;
    s = forward<Cell>(s);
    return a * s.h + (Cell::kTraits.states == 2 ? b * s.c : 0.0);
  };
  return (loss(kStep) - loss(-kStep)) / (2 * kStep);
}

template <class Cell>
void check_cell(const char* name, int seed) {
  constexpr CellTraits t = Cell::kTraits;
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0.1, 1.5);
  const auto value = [&] { return (random() % 2 ? 1 : -1) * uniform(random); };  // away from relu's corner
  Values s{};
  for (int g = 0; g < t.gates; ++g) s.in[g] = value(), s.rec[g] = 0.5 * value();
  for (int g = 0; g < t.gates; ++g)
    if (std::fabs(s.in[g] + s.rec[g]) < 1e-3) s.in[g] += 0.1;
  s.h_prev = value(), s.c_prev = value();
  const double a = value(), b = t.states == 2 ? value() : 0;

  const Values done = forward<Cell>(s);
  StepGrad<double> grad{};
  grad.dh = a, grad.dc = b;
  Cell::template backward<ScalarMath>(done, grad, kScale);

  check::context = std::string(name) + ", seed " + std::to_string(seed);
  for (int plane = 0; plane < t.gates; ++plane) {
    const int gate = t.gate_of_input_plane(plane);
    CHECK_CLOSE(grad.dz[plane], difference<Cell>(s, a, b, [=](Values& v) -> double& { return v.in[gate]; }), kTolerance, 1.0);
  }
  for (int gate = 0; gate < t.gates; ++gate)
    CHECK_CLOSE(grad.dz[t.recurrent_plane() + gate], difference<Cell>(s, a, b, [=](Values& v) -> double& { return v.rec[gate]; }),
                kTolerance, 1.0);
  CHECK_CLOSE(grad.dh_prev, difference<Cell>(s, a, b, [](Values& v) -> double& { return v.h_prev; }), kTolerance, 1.0);
  CHECK(t.bypass || grad.dh_prev == 0);  // the engine does not ask
  if (t.states == 2) {
    CHECK_CLOSE(grad.dc_prev, difference<Cell>(s, a, b, [](Values& v) -> double& { return v.c_prev; }), kTolerance, 1.0);
    const double slope = 1 - std::tanh(done.c) * std::tanh(done.c);
    CHECK_CLOSE(grad.dc_total, b + a * (done.h / std::tanh(done.c)) * slope, 1e-12, 1.0);
  }
}

}  // namespace

TEST(backward_is_the_derivative_of_forward) {
  for (int seed = 0; seed < 50; ++seed) {
#define SEQGRAD_CELL(name, type) check_cell<type>(#name, seed);
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
}

TEST(residual_saves_the_activation_not_a_difference) {
  Values s{};
  s.in[0] = 0.3, s.h_prev = 1e20;  // h_t - h_{t-1} would be 0 here
  const Values done = forward<ResidualRnn<Tanh>>(s);
  CHECK_CLOSE(done.saved[0], std::tanh(0.3), 1e-15, 0.0);
}

TEST(relu_lets_nan_pass_both_ways) {
  const double nan = std::nan("");
  Values s{};
  s.in[0] = nan;
  s = forward<Rnn<Relu>>(s);
  CHECK(std::isnan(s.h));
  s.h = 1.0;
  StepGrad<double> grad{};
  grad.dh = nan;
  Rnn<Relu>::backward<ScalarMath>(s, grad, 1.0);
  CHECK(std::isnan(grad.dz[0]));
}

TEST(traits_fit_the_arrays_of_a_step) {
  for (const CellInfo& cell : kCells) {
    check::context = cell.name;
    CHECK(cell.traits.gates >= 1 && cell.traits.gates <= kMaxGates);
    CHECK(cell.traits.planes() <= kMaxPlanes);
    CHECK(cell.traits.saved <= kMaxSaved);
    CHECK(cell.traits.states == 1 || cell.traits.states == 2);
  }
}
