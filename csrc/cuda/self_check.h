// First use checks itself: before a resident path runs in earnest on a device it has to agree with path `step` on a tiny
// problem, once per process, device, cell, dtype and path. What disagrees is never used: one warning, and path `step`.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "run.h"

namespace seqgrad::cuda {

// Forward and backward along `path` against path `step`, on two tiny problems: odd sizes, lengths, both directions, norms,
// clipping, truncation. Empty if they agree, else one sentence on the worst value. Waits for the stream, so a stream that
// is being captured must not come here. Errors of path `step` itself are thrown.
std::string self_check(const Context& context, CellId cell, DType dtype, Path path, const ResidentKernels& kernels = {});

// What is known of the resident paths. Safe to share between threads; a path that another thread is checking right now
// is not trusted yet.
class Trust {
 public:
  using Warn = void (*)(const char* line);
  static void to_stderr(const char* line);

  // `warn` and `kernels` are for tests: the process has one Trust of its own, with stderr and the kernels of this build.
  explicit Trust(Warn warn = &to_stderr, const ResidentKernels& kernels = {}) : warn(warn), kernels(kernels) {}

  // Whether `path` may be used. Runs the check if it has not been run; not while the stream is being captured: then the
  // answer is no, and the next call asks again.
  bool trusts(const Context& context, CellId cell, DType dtype, Path path);

  const Warn warn;
  const ResidentKernels kernels;

 private:
  enum class State : int { checking, trusted, refused };
  using Key = std::tuple<int, CellId, DType, Path>;  // device first
  std::mutex mutex;
  std::map<Key, State> states;
};

// The two calls of engine.h with a trust of the caller's own: what the product does, with a test's kernels and warnings.
void forward(const Layer& layer, const ForwardOut& out, const Context& context, Trust& trust);
void backward(const Layer& layer, const Backward& grads, const Context& context, Trust& trust);

}  // namespace seqgrad::cuda
