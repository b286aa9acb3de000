// How the CPU engine uses its threads: slices of the batch first; where there are fewer slices than threads, teams
// share one. Compiled once, for any machine: nothing here depends on the instruction set.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "engine.h"

namespace seqgrad::cpu {
namespace {

constexpr double kWorkPerThread = 1e6;           // multiply-adds below which another thread costs more than it brings
constexpr double kWorkPerStep = 65536;           // likewise per time step, where the members of a team meet
constexpr double kWeightsPerRow = 1e5;           // recurrent weights per row, beyond which reading them twice costs more than meeting
constexpr double kWeightsPerRowOnTiles = 2.5e4;  // likewise where AMX multiplies float32, three times as fast
constexpr int64_t kRowsOnTiles = 8;              // of a slice there: sixteen take no longer than one
constexpr double kMostGradients = 2.7e8;         // a slice holds its own weight gradients; this bounds their number

Split split_of(const Layer& p, int most_threads, bool backward, bool weight_gradients, bool may_team) {
  const bool on_tiles = p.dtype == DType::float32 && !std::strcmp(engine().path(p, backward), "amx");
  const double gates = p.traits().gates, weights = gates * p.H * (p.I + p.P), work = weights * p.T * p.N;
  const double recurrent = gates * p.H * p.P;
  const int64_t threads = std::max<int64_t>(1, std::min<int64_t>(most_threads, int64_t(work / kWorkPerThread)));
  int64_t slices = std::min<int64_t>(threads, on_tiles ? std::max<int64_t>(1, p.N / kRowsOnTiles) : p.N);
  if (weight_gradients) slices = std::max<int64_t>(1, std::min<int64_t>(slices, int64_t(kMostGradients / weights)));
  const double per_row = on_tiles ? kWeightsPerRowOnTiles : kWeightsPerRow;
  if (may_team) slices = std::max<int64_t>(1, std::min<int64_t>(slices, int64_t(p.N * per_row / recurrent)));
  const double step = recurrent * (double(p.N) / slices);
  const int64_t unit_blocks = (p.H + 15) / 16, team = std::min<int64_t>({threads / slices, int64_t(step / kWorkPerStep) + 1, unit_blocks});
  return {slices, may_team ? int(std::max<int64_t>(1, team)) : 1};
}

}  // namespace

Split split_forward(const Layer& p, int threads) { return split_of(p, threads, false, false, !p.w_hr); }

// A team leaves projection, clipping (needs the whole norm at once) and scaled fp64 norms to single threads.
Split split_backward(const Layer& p, int threads, bool weight_gradients, bool norms) {
  const bool may_team = !p.w_hr && p.clip == ClipKind::none && (p.dtype != DType::float64 || !norms);
  return split_of(p, threads, true, weight_gradients, may_team);
}

// A thread per direction, then, where no more than two would have shared the samples of one. A team keeps its own: each
// of its members holds but a share of the weights in its cache.
bool both_at_once(const Layer& p, Split alone, int threads) {
  const double work = double(p.traits().gates) * p.H * (p.I + p.P) * p.T * p.N;
  return threads > 1 && work >= kWorkPerThread && alone.team == 1 && alone.slices <= 2;
}

}  // namespace seqgrad::cpu
