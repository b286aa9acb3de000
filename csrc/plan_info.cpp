// What the engines would do, as JSON for Python: seqgrad.explain and benchmarks/roofline.py ask plan() for real CUDA
// devices and for imagined ones, in builds without CUDA too, and the CPU engine for its split. Nothing runs here.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

#include "cells/cells.h"
#include "cpu/engine.h"
#include "cuda/cost.h"
#include "cuda/plan.h"

namespace {

using namespace seqgrad;

[[noreturn]] void fail(const std::string& message) { throw std::invalid_argument("seqgrad: " + message); }

CellId cell_named(const std::string& name) {
  for (int i = 0; i < kCellCount; ++i)
    if (name == kCells[i].name) return static_cast<CellId>(i);
  std::string known;
  for (const CellInfo& cell : kCells) known += std::string(known.empty() ? "" : ", ") + cell.name;
  fail("cell must be one of " + known + ", got '" + name + "'");
}

DType dtype_named(const std::string& name) {
  if (name == "float32") return DType::float32;
  if (name == "float64") return DType::float64;
  if (name == "bfloat16") return DType::bfloat16;
  if (name == "float16") return DType::float16;
  fail("dtype must be float32, float64, bfloat16 or float16, got '" + name + "'");
}

std::string text(int64_t value) { return std::to_string(value); }
std::string text(double value) {
  if (!std::isfinite(value)) return "null";
  char digits[40];
  std::snprintf(digits, sizeof digits, "%.17g", value);
  return digits;
}

// {"name": value, ...}; the reason is the only string, and holds nothing that JSON would have to escape.
class Json {
 public:
  template <class T>
  Json& add(const char* name, T value) {
    return raw(name, text(value));
  }
  Json& raw(const char* name, const std::string& value) {
    fields += (fields.empty() ? "\"" : ", \"") + std::string(name) + "\": " + value;
    return *this;
  }
  std::string done() const { return "{" + fields + "}"; }

 private:
  std::string fields;
};

std::string as_json(const cuda::Estimate& e) {
  return Json()
      .add("flops", e.flops)
      .add("shared_bytes", e.shared_bytes)
      .add("l2_bytes", e.l2_bytes)
      .add("memory_bytes", e.memory_bytes)
      .add("product_us", e.product_us)
      .add("pointwise_us", e.pointwise_us)
      .add("exchange_us", e.exchange_us)
      .add("barrier_us", e.barrier_us)
      .add("memory_us", e.memory_us)
      .add("floor_us", e.floor_us)
      .add("step_us", e.step_us)
      .add("fixed_us", e.fixed_us)
      .done();
}

// `sizes` T, N, H, P; `limits` in the order of seqgrad._ext.CudaDevice.
std::string cuda_plan(std::string cell, std::string dtype, std::vector<int64_t> sizes, bool backward, bool clip_norm,
                      std::vector<int64_t> limits, std::string wish) {
  if (sizes.size() != 4) fail("sizes must be T, N, H, P, got " + std::to_string(sizes.size()) + " numbers");
  if (limits.size() != 8) fail("limits must be the 8 fields of CudaDevice, got " + std::to_string(limits.size()) + " numbers");
  cuda::Question q;
  q.cell = cell_named(cell), q.dtype = dtype_named(dtype);
  q.T = sizes[0], q.N = sizes[1], q.H = sizes[2], q.P = sizes[3];
  q.pass = backward ? cuda::Pass::backward : cuda::Pass::forward;
  q.clip_norm = clip_norm;
  const cuda::DeviceLimits device{static_cast<int>(limits[0]),
                                  static_cast<int>(limits[1]),
                                  static_cast<int>(limits[2]),
                                  limits[3],
                                  limits[4],
                                  limits[5],
                                  limits[6],
                                  limits[7] != 0};
  const cuda::Plan plan = cuda::plan(q, device, wish);
  const cuda::Tiles& t = plan.tiles;
  const CellTraits& traits = kCells[static_cast<int>(q.cell)].traits;
  const bool resident = plan.path != cuda::Path::step;
  const cuda::Layout layout = resident ? make_layout(q.pass, traits.gates, traits.split, q.dtype, q.H, t) : cuda::Layout{};
  const cuda::Estimate estimate = resident ? estimate_resident(q, device, t, layout) : estimate_step(q, device);
  return Json()
      .raw("path", "\"" + std::string(cuda::name(plan.path)) + "\"")
      .add("rows", t.rows)
      .add("units", t.units)
      .add("slices", t.slices)
      .add("groups", t.groups)
      .add("threads", int64_t{t.threads})
      .add("row_tile", int64_t{t.row_tile})
      .add("k_parts", int64_t{t.k_parts})
      .add("k_chunk", t.k_chunk)
      .add("shared_bytes", plan.shared_bytes)
      .add("layout_bytes", layout.bytes)
      .add("lanes", layout.lanes)
      .add("workspace_bytes", plan.workspace_bytes)
      .add("barriers", plan.barriers)
      .raw("reason", "\"" + plan.reason + "\"")
      .raw("estimate", as_json(estimate))
      .done();
}

// `sizes` T, N, I, H, P; `threads` as torch has them. `clipped`: with state_clip; `norms`: while recording.
std::string cpu_plan(std::string cell, std::string dtype, std::vector<int64_t> sizes, bool backward, bool clipped, bool weight_gradients,
                     bool norms, int64_t threads) {
  if (sizes.size() != 5) fail("sizes must be T, N, I, H, P, got " + std::to_string(sizes.size()) + " numbers");
  Layer layer;
  layer.cell = cell_named(cell), layer.dtype = dtype_named(dtype);
  layer.T = sizes[0], layer.N = sizes[1], layer.I = sizes[2], layer.H = sizes[3], layer.P = sizes[4];
  if (layer.P != layer.H) layer.w_hr = &layer;  // only asked whether it is there
  if (clipped) layer.clip = ClipKind::norm;
  const int most = static_cast<int>(threads);
  const bool idle = layer.T < 1 || layer.N < 1 || layer.H < 1;
  const cpu::Split split = idle       ? cpu::Split{0, 0}
                           : backward ? cpu::split_backward(layer, most, weight_gradients, norms)
                                      : cpu::split_forward(layer, most);
  return Json()
      .raw("isa", "\"" + std::string(cpu::engine().path(layer, backward)) + "\"")
      .add("slices", split.slices)
      .add("team", int64_t{split.team})
      .raw("at_once", !idle && cpu::both_at_once(layer, split, most) ? "true" : "false")
      .done();
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(seqgrad, m) {
  m.def("cpu_plan(str cell, str dtype, int[] sizes, bool backward, bool clipped, bool weight_gradients, bool norms, int threads) -> str");
  m.def("cuda_plan(str cell, str dtype, int[] sizes, bool backward, bool clip_norm, int[] limits, str wish) -> str");
}

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CompositeExplicitAutograd, m) {
  m.impl("cpu_plan", TORCH_BOX(&cpu_plan));
  m.impl("cuda_plan", TORCH_BOX(&cuda_plan));
}
