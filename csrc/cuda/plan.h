// Which kernels run a layer, and how they are cut: a pure function of the problem and of what the device offers.
// No torch, no CUDA: tests plan for devices nobody has here, and seqgrad.explain shows the plan.
#pragma once

#include <string>

#include "device.h"
#include "layout.h"

namespace seqgrad::cuda {

enum class Path : int {
  block,  // W_hh resident in one block, all steps in one launch; blocks share nothing
  grid,   // W_hh resident in slices over many blocks, all steps in one cooperative launch, one barrier per step
  step,   // one product and one pointwise kernel per step: any size, any type, any device
};

struct Question {
  CellId cell = CellId::rnn_tanh;
  DType dtype = DType::float32;
  int64_t T = 0, N = 0, H = 0, P = 0;
  Pass pass = Pass::forward;
  bool clip_norm = false;  // per-step clipping by norm: one more barrier per backward step
};

struct Plan {
  Path path = Path::step;
  Tiles tiles;                  // of the resident paths
  int64_t shared_bytes = 0;     // per block
  int64_t workspace_bytes = 0;  // in device memory, what the recurrent kernels of this path need for themselves
  int64_t barriers = 0;         // between blocks, over all steps
  std::string reason;           // one sentence: why this path, and why not the one before it
};

// `wish`: "auto", "block", "grid" or "step" (SEQGRAD_CUDA_PATH); a wish that does not fit falls back, and `reason` says so.
Plan plan(const Question& question, const DeviceLimits& limits, const std::string& wish = "auto");

const char* name(Path path);

}  // namespace seqgrad::cuda
