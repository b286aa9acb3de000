// The race of variants: one recurrent step's product, h W_hh^T with all gates, on the engine's own register tiles. Each
// variant is a way to walk the same matrices; README.md says which of them csrc/cpu took, and what else lost.
// Compiled by race.py for the processor at hand; part of no build.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include LABORATORY_TARGET
#include "core/pages.h"
#include "cpu/simd.h"
#include "cpu/blocked.h"
#include "cpu/operands.h"
#include "cpu/gemm.h"
#include "cpu/target_end.h"

namespace {

namespace engine = seqgrad::cpu::SEQGRAD_ISA;
constexpr int L = engine::kLanes<float>;

struct Walk {
  const char* name;
  int panel;             // column blocks per tile
  bool columns_outside;  // a panel of W for all row tiles, or all panels for one row tile
  bool odd_pitch;        // rows between column blocks of the left operand: 257 or 256
  bool huge_pages;       // for W
};

constexpr Walk kWalks[] = {
    {"as in csrc/cpu", 4, true, true, true},     {"tiles of 2 blocks, twice the rows", 2, true, true, true},
    {"row tiles outside", 4, false, true, true}, {"pitch a power of two", 4, true, false, true},
    {"pages of 4 KiB", 4, true, true, false},    {"none of these", 2, false, false, false},
};

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

float* matrix(int64_t count, bool huge) {
  const size_t bytes = (size_t(count) * sizeof(float) / seqgrad::kHugePage + 1) * seqgrad::kHugePage;
  void* p = std::aligned_alloc(seqgrad::kHugePage, bytes);
  if (!p) std::abort();
  if (huge) seqgrad::prefer_huge_pages(p, bytes);
  for (int64_t i = 0; i < count; ++i) static_cast<float*>(p)[i] = float(i % 7) * 0.01f;
  return static_cast<float*>(p);
}

// Seconds of one step: the median over half a second.
double step_time(const Walk& walk, int64_t rows, int64_t units, int64_t gates) {
  const int64_t blocks = units / L, columns = gates * blocks, pitch = walk.odd_pitch ? 257 : 256;  // a chunk of rows
  float* w = matrix(columns * units * L, walk.huge_pages);
  float* h = matrix(blocks * pitch * L, false);
  alignas(64) static float c[engine::kMaxPanel * engine::kMostRows * L];
  const int64_t tiles = engine::pieces(rows, engine::max_rows(walk.panel)), panels = engine::pieces(columns, walk.panel);
  const auto tile = [&](int64_t i, int64_t panel) {
    const int64_t r0 = engine::piece_begin(rows, tiles, i), n = engine::piece_begin(rows, tiles, i + 1) - r0, b0 = panel * walk.panel;
    engine::run_tile<float>(int(n), int(std::min<int64_t>(walk.panel, columns - b0)),
                            {h + r0 * L, pitch * L, w + b0 * units * L, units * L, c, n * L, engine::depth_of<float>(1, units), {}});
  };
  const auto step = [&] {
    if (walk.columns_outside) {
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t i = 0; i < tiles; ++i) tile(i, p);
    } else {
      for (int64_t i = 0; i < tiles; ++i)
        for (int64_t p = 0; p < panels; ++p) tile(i, p);
    }
  };
  std::vector<double> times;
  step();
  for (const double end = now() + 0.5; now() < end;) {
    const double begin = now();
    step();
    times.push_back(now() - begin);
  }
  std::free(w), std::free(h);
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

}  // namespace

int main() {
  constexpr int64_t kSizes[][3] = {{16, 128, 4}, {16, 256, 4}, {32, 512, 1}, {32, 512, 4}, {64, 1024, 1}, {64, 1024, 4}};  // rows, H, gates
  std::printf("| GFLOP/s");
  for (const auto& [rows, units, gates] : kSizes) std::printf(" | %ldx%ld, %ld", long(rows), long(units), long(gates));
  std::printf(" |\n|---|---|---|---|---|---|---|\n");
  for (const Walk& walk : kWalks) {
    std::printf("| %s", walk.name);
    for (const auto& [rows, units, gates] : kSizes)
      std::printf(" | %.0f", 2e-9 * rows * units * units * gates / step_time(walk, rows, units, gates));
    std::printf(" |\n");
  }
}
