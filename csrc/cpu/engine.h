// The CPU engine's interface: one layer and direction, forward and backward, as plain structs. No torch.
#pragma once

#include "../core/layer.h"
#include "../core/figures.h"

namespace seqgrad::cpu {

// What one instruction set offers.
struct Engine {
  const char* name;
  void (*forward)(const Layer&, const ForwardOut&, const Parallel&);
  void (*backward)(const Layer&, const Backward&, const Parallel&);
  void (*row_figures)(const Rows&, const Parallel&);
  void (*gate_figures)(const GateEnds&);
  const char* (*path)(const Layer&, bool backward);  // the instruction set that a pass will use: name, or a simpler one
};

// The engines this build holds and this machine can run, best first; the last is the baseline.
int available(const Engine** engines, int most);

// How the threads are used: `slices` of the batch, each worked on by a team of `team` threads (see team.h).
struct Split {
  int64_t slices;
  int team;
};
Split split_forward(const Layer& layer, int threads);
Split split_backward(const Layer& layer, int threads, bool weight_gradients, bool norms);
// Whether the two directions of a layer run at the same time, each on one thread: `alone` is how one would be split.
bool both_at_once(const Layer& layer, Split alone, int threads);

// The best engine, or the one that the environment variable SEQGRAD_CPU_ISA names (read at first use).
const Engine& engine();

}  // namespace seqgrad::cpu
