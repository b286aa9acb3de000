// The emulated CUDA engine for pytest: forward and backward of one layer on host memory. Torch-free: tensors come as
// addresses, everything else as numbers and names. Plan, device and schedule are the caller's to choose.
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>

#include "control.h"
#include "cuda/self_check.h"
#include "guarded.h"
#include "naive_multiply.h"

namespace py = pybind11;
using namespace seqgrad;

namespace {

template <class T, size_t Count>
T named(const std::string& name, const char* const (&names)[Count]) {
  for (size_t i = 0; i < Count; ++i)
    if (name == names[i]) return static_cast<T>(i);
  throw std::invalid_argument("no such name: " + name);
}

CellId cell_named(const std::string& name) {
  for (int i = 0; i < kCellCount; ++i)
    if (name == kCells[i].name) return static_cast<CellId>(i);
  throw std::invalid_argument("no cell " + name);
}

constexpr const char* kDTypes[] = {"float32", "float64", "bfloat16", "float16"};
constexpr const char* kClips[] = {"none", "norm", "value"};
constexpr const char* kPaths[] = {"block", "grid", "step"};
constexpr const char* kPolicies[] = {"in order", "reverse", "uniform", "thread priorities", "warp priorities"};

// A dict of arguments, each of which must be there.
struct Arguments {
  py::dict given;
  template <class T>
  T get(const char* name) const {
    return given[name].cast<T>();
  }
  int64_t number(const char* name) const { return get<int64_t>(name); }
  std::string text(const char* name) const { return get<std::string>(name); }
  void* address(const char* name) const { return reinterpret_cast<void*>(get<uintptr_t>(name)); }
};

Layer layer_from(const Arguments& a) {
  Layer p;
  p.cell = cell_named(a.text("cell")), p.dtype = named<DType>(a.text("dtype"), kDTypes);
  p.T = a.number("T"), p.N = a.number("N"), p.I = a.number("I"), p.H = a.number("H"), p.P = a.number("P");
  p.reverse = a.get<bool>("reverse"), p.scale = a.get<double>("scale"), p.truncate = a.number("truncate");
  p.clip = named<ClipKind>(a.text("clip"), kClips), p.clip_limit = a.get<double>("clip_limit");
  p.lengths = static_cast<const int64_t*>(a.address("lengths"));
  p.w_ih = a.address("w_ih"), p.w_hh = a.address("w_hh"), p.b_ih = a.address("b_ih"), p.b_hh = a.address("b_hh");
  p.w_hr = a.address("w_hr"), p.x = a.address("x"), p.h0 = a.address("h0"), p.c0 = a.address("c0");
  p.x_stride_t = a.number("x_stride_t"), p.x_stride_n = a.number("x_stride_n");
  return p;
}

ForwardOut outputs_from(const Arguments& a) { return {a.address("out"), a.address("hn"), a.address("cn"), a.address("saved")}; }

Backward gradients_from(const Arguments& a) {
  Backward b;
  b.out = a.address("out"), b.saved = a.address("saved");
  b.grad_out = a.address("grad_out"), b.grad_hn = a.address("grad_hn"), b.grad_cn = a.address("grad_cn");
  b.grad_out_stride_t = a.number("grad_out_stride_t"), b.grad_out_stride_n = a.number("grad_out_stride_n");
  b.dx = a.address("dx"), b.dw_ih = a.address("dw_ih"), b.dw_hh = a.address("dw_hh"), b.db_ih = a.address("db_ih");
  b.db_hh = a.address("db_hh"), b.dw_hr = a.address("dw_hr"), b.dh0 = a.address("dh0"), b.dc0 = a.address("dc0");
  b.norms = a.address("norms");
  return b;
}

cuda::DeviceLimits limits_from(const Arguments& a) {
  cuda::DeviceLimits d;
  d.major = int(a.number("major")), d.minor = int(a.number("minor")), d.multiprocessors = int(a.number("multiprocessors"));
  d.shared_per_block = a.number("shared_per_block"), d.shared_per_multiprocessor = a.number("shared_per_multiprocessor");
  d.registers_per_multiprocessor = a.number("registers_per_multiprocessor"), d.l2_bytes = a.number("l2_bytes");
  d.cooperative_launch = a.get<bool>("cooperative_launch");
  return d;
}

py::dict described(const cuda::Plan& plan, const emulator::Counts& before) {
  const emulator::Counts now = emulator::counts();
  py::dict d;
  d["path"] = cuda::name(plan.path), d["reason"] = plan.reason, d["shared_bytes"] = plan.shared_bytes;
  d["rows"] = plan.tiles.rows, d["units"] = plan.tiles.units, d["slices"] = plan.tiles.slices, d["groups"] = plan.tiles.groups;
  d["threads"] = plan.tiles.threads, d["row_tile"] = plan.tiles.row_tile, d["k_parts"] = plan.tiles.k_parts;
  d["k_chunk"] = plan.tiles.k_chunk;
  d["launches"] = now.launches - before.launches, d["cooperative"] = now.cooperative - before.cooperative;
  return d;
}

// The plan of the given wish, or, with `tiles`, exactly those.
cuda::Plan plan_from(const Layer& p, cuda::Pass pass, const cuda::Context& context, const py::dict& tiles) {
  if (tiles.empty()) return cuda::plan_for(p, pass, context);
  const Arguments a{tiles};
  const CellTraits& traits = p.traits();
  cuda::Plan plan;
  plan.path = named<cuda::Path>(a.text("path"), kPaths);
  cuda::Tiles& t = plan.tiles;
  t.rows = a.number("rows"), t.units = a.number("units"), t.threads = int(a.number("threads"));
  t.slices = (p.H + t.units - 1) / t.units, t.groups = (p.N + t.rows - 1) / t.rows;
  t.row_tile = int(a.number("row_tile")), t.k_parts = int(a.number("k_parts"));
  const int64_t depth = cuda::round_up(pass == cuda::Pass::forward ? p.H : traits.gates * p.H, cuda::k_step(p.dtype));
  t.k_chunk = a.number("k_chunk") && t.slices > 1 ? a.number("k_chunk") : depth;
  plan.shared_bytes = cuda::make_layout(pass, traits.gates, traits.split, p.dtype, p.H, t).bytes;
  return plan;
}

// One call of the engine under a schedule, on a device; its workspaces are checked at the end.
template <class Call>
py::dict run(const Layer& p, cuda::Pass pass, const py::dict& setting, Call&& call) {
  const Arguments a{setting};
  emulator::set_schedule({named<emulator::Policy>(a.text("policy"), kPolicies), a.get<uint64_t>("seed")});
  emulator::set_device(limits_from({a.get<py::dict>("device")}));
  emulator::Workspaces workspaces;
  cuda::Context context;
  context.limits = limits_from({a.get<py::dict>("believed")}), context.wish = a.text("wish");
  context.self = &workspaces, context.allocate = emulator::Workspaces::allocate, context.multiply = emulator::naive_multiply;
  const cuda::Plan plan = plan_from(p, pass, context, a.get<py::dict>("tiles"));
  // What was found on one device says nothing about another; the check itself is not counted.
  static cuda::Trust lasting;
  cuda::Trust passing;
  cuda::Trust& trust = a.get<bool>("lasting") ? lasting : passing;
  if (a.get<py::dict>("tiles").empty() && plan.path != cuda::Path::step) trust.trusts(context, p.cell, p.dtype, plan.path);
  const emulator::Counts before = emulator::counts();
  call(context, plan, trust);
  if (!workspaces.intact()) throw std::runtime_error("a write outside of a workspace");
  return described(plan, before);
}

py::dict forward(const py::dict& layer, const py::dict& outputs, const py::dict& setting) {
  const Layer p = layer_from({layer});
  const ForwardOut to = outputs_from({outputs});
  const bool planned = setting["tiles"].cast<py::dict>().empty();
  return run(p, cuda::Pass::forward, setting, [&](const cuda::Context& context, const cuda::Plan& plan, cuda::Trust& trust) {
    if (planned) cuda::forward(p, to, context, trust);
    else cuda::run_forward(p, to, context, plan, {});
  });
}

py::dict backward(const py::dict& layer, const py::dict& gradients, const py::dict& setting) {
  const Layer p = layer_from({layer});
  const Backward b = gradients_from({gradients});
  const bool planned = setting["tiles"].cast<py::dict>().empty();
  return run(p, cuda::Pass::backward, setting, [&](const cuda::Context& context, const cuda::Plan& plan, cuda::Trust& trust) {
    if (planned) cuda::backward(p, b, context, trust);
    else cuda::run_backward(p, b, context, plan, {});
  });
}

}  // namespace

PYBIND11_MODULE(_emulated, m) {
  m.def("forward", forward, py::arg("layer"), py::arg("outputs"), py::arg("setting"));
  m.def("backward", backward, py::arg("layer"), py::arg("gradients"), py::arg("setting"));
  py::register_exception<emulator::Report>(m, "Report", PyExc_RuntimeError);
}
