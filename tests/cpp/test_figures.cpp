// Figures of rows and gates against plain loops: every instruction set of this machine, float and double, ragged widths,
// rows with gaps between them, real threads. Exact-size memory filled with NaN, as in test_engine.cpp.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/engine.h"

using namespace seqgrad;

namespace {

constexpr double kLevel = 0.8;

void launch_threads(int64_t count, void (*run)(void*, int64_t), void* context) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) threads.emplace_back(run, context, i);
  for (std::thread& thread : threads) thread.join();
}

template <class A>
std::vector<A> uniform(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> values(-1, 1);
  std::vector<A> found(count);
  for (A& v : found) v = A(values(random));
  return found;
}

template <class A>
void check_rows(const cpu::Engine& engine, int64_t T, int64_t N, int64_t width, int threads) {
  constexpr DType dtype = sizeof(A) == 8 ? DType::float64 : DType::float32;
  const A nan = std::numeric_limits<A>::quiet_NaN();
  const int64_t gap = 3;
  std::vector<A> values = uniform<A>(T * N * (width + gap) - gap, uint32_t(width)), norm(T * N, nan), peak(T * N, nan);
  std::vector<float> beyond(T * N, NAN);
  Rows rows{dtype, values.data(), T, N, width, N * (width + gap), width + gap, kLevel, norm.data(), peak.data(), beyond.data()};
  engine.row_figures(rows, {threads, launch_threads});
  for (int64_t i = 0; i < T * N; ++i) {
    const A* row = values.data() + i * (width + gap);
    double sum = 0, most = 0, count = 0;
    for (int64_t c = 0; c < width; ++c) {
      sum += double(row[c]) * double(row[c]);
      most = std::max(most, std::fabs(double(row[c])));
      count += std::fabs(row[c]) > A(kLevel);
    }
    CHECK_CLOSE(double(norm[i]), std::sqrt(sum), 1e-6, 0.0);
    CHECK(double(peak[i]) == most);
    CHECK_CLOSE(double(beyond[i]), count / double(width), 1e-6, 0.0);
  }
}

template <class A>
void check_gates(const cpu::Engine& engine, int64_t H, bool ragged) {
  const int64_t T = 11, N = 5, planes = 4;
  const std::vector<A> saved = uniform<A>(T * N * planes * H, uint32_t(H));
  const std::vector<int64_t> lengths{11, 0, 4, 7, 1};
  GateEnds g;
  g.wide = sizeof(A) == 8, g.saved = saved.data(), g.T = T, g.N = N, g.planes = planes, g.H = H;
  g.gates = 3, g.candidate = 2, g.offset = 1, g.stride = 3, g.every = 2, g.level = kLevel;
  g.lengths = ragged ? lengths.data() : nullptr;
  std::vector<float> low(g.gates * g.steps(), NAN), high(low);
  g.low = low.data(), g.high = high.data();
  engine.gate_figures(g);
  for (int64_t k = 0; k < g.gates; ++k)
    for (int64_t s = 0; s < g.steps(); ++s) {
      const int64_t t = g.offset + s * g.stride;
      double below = 0, above = 0, all = 0;
      for (int64_t n = 0; n < N; n += g.every) {
        if (ragged && t >= lengths[n]) continue;
        for (int64_t u = 0; u < H; ++u) {
          A v = saved[((t * N + n) * planes + k) * H + u];
          if (k == g.candidate) v = std::fabs(v);
          below += k != g.candidate && v<A(1 - kLevel), above += v> A(kLevel), ++all;
        }
      }
      CHECK_CLOSE(double(low[k * g.steps() + s]), all ? below / all : 0, 1e-6, 0.0);
      CHECK_CLOSE(double(high[k * g.steps() + s]), all ? above / all : 0, 1e-6, 0.0);
    }
}

template <class F>
void on_every_engine(F&& body) {
  const cpu::Engine* engines[8];
  const int count = cpu::available(engines, 8);
  for (int i = 0; i < count; ++i) body(*engines[i]);
}

}  // namespace

TEST(rows_match_plain_loops) {
  on_every_engine([](const cpu::Engine& engine) {
    for (int64_t width : {1, 3, 8, 16, 17, 33, 64, 100}) {
      check::context = std::string(engine.name) + ", width " + std::to_string(width);
      check_rows<float>(engine, 3, 2, width, 1);
      check_rows<double>(engine, 3, 2, width, 1);
    }
  });
}

TEST(threads_share_many_rows) {
  on_every_engine([](const cpu::Engine& engine) {
    check::context = engine.name;
    check_rows<float>(engine, 50, 90, 300, 3);
    check_rows<double>(engine, 2, 900, 300, 3);  // fewer time steps than threads
  });
}

TEST(gates_match_plain_loops) {
  on_every_engine([](const cpu::Engine& engine) {
    for (int64_t H : {1, 7, 16, 19, 64})
      for (bool ragged : {false, true}) {
        check::context = std::string(engine.name) + ", H " + std::to_string(H);
        check_gates<float>(engine, H, ragged);
        check_gates<double>(engine, H, ragged);
      }
  });
}
