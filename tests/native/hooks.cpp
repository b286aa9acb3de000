// Python's view of the engine's scalar and vector math, for tests only. Torch-free; arrays go through the buffer protocol.
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cells/cells.h"
#include "hooks.h"

namespace py = pybind11;

namespace seqgrad::cpu {
namespace baseline { extern const hooks::Isa kHooks; }
#if defined(__x86_64__)
namespace avx2 { extern const hooks::Isa kHooks; }
namespace avx512 { extern const hooks::Isa kHooks; }
#endif
}  // namespace seqgrad::cpu

namespace {

using namespace seqgrad;  // as the list of cells expects

std::vector<const hooks::Isa*> available() {
  std::vector<const hooks::Isa*> found{&seqgrad::cpu::baseline::kHooks};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(&seqgrad::cpu::avx2::kHooks);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
      found.push_back(&seqgrad::cpu::avx512::kHooks);
  }
#endif
  return found;
}

const hooks::Isa& isa_named(const std::string& name) {
  for (const hooks::Isa* isa : available())
    if (name == isa->name) return *isa;
  throw std::invalid_argument("no instruction set " + name + " here");
}

// A one-dimensional, contiguous buffer of T.
template <class T>
struct Array {
  py::buffer_info info;
  explicit Array(const py::buffer& b, bool writable = false) : info(b.request(writable)) {
    if (info.ndim != 1 || info.itemsize != py::ssize_t(sizeof(T)) || (info.shape[0] > 1 && info.strides[0] != info.itemsize))
      throw std::invalid_argument("expected a contiguous vector of " + std::to_string(sizeof(T)) + "-byte items");
  }
  T* data() const { return static_cast<T*>(info.ptr); }
  int64_t size() const { return info.shape[0]; }
};

template <class From, class To>
void map(void (*run)(const From*, To*, int64_t), const py::buffer& from, const py::buffer& to) {
  const Array<From> in(from);
  const Array<To> out(to, true);
  if (in.size() != out.size()) throw std::invalid_argument("the vectors differ in length");
  run(in.data(), out.data(), in.size());
}

struct ScalarMath {  // the M of csrc/cells on plain doubles
  static double constant(double value) { return value; }
  static double tanh(double x) { return std::tanh(x); }
  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
};

template <class Run>
auto with_cell(const std::string& name, Run&& run) {
#define SEQGRAD_CELL(id, type) \
  if (name == #id) return run.template operator()<type>();
  SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  throw std::invalid_argument("no cell " + name);
}

template <size_t Size>
void read(double (&to)[Size], const std::vector<double>& from) {
  if (from.size() > Size) throw std::invalid_argument("too many values");
  std::copy(from.begin(), from.end(), to);
}

std::vector<double> listed(py::handle values) {
  std::vector<double> found;
  for (py::handle v : values) found.push_back(v.cast<double>());
  return found;
}

// One unit, one step: h, c and what backward is given, then its result for dL/dh = dh and dL/dc = dc.
py::dict cell_step(const std::string& name, py::handle in, py::handle rec, double h_prev, double c_prev, double scale, double dh,
                   double dc) {
  return with_cell(name, [&]<class Cell>() {
    constexpr seqgrad::CellTraits t = Cell::kTraits;
    seqgrad::Step<double> s{};
    read(s.in, listed(in));
    read(s.rec, listed(rec));
    s.h_prev = h_prev, s.c_prev = c_prev;
    Cell::template forward<ScalarMath>(s, scale);
    seqgrad::StepGrad<double> g{};
    g.dh = dh, g.dc = dc;
    Cell::template backward<ScalarMath>(s, g, scale);
    py::list d_in, d_rec;
    std::vector<double> by_gate(t.gates);
    for (int plane = 0; plane < t.gates; ++plane) by_gate[t.gate_of_input_plane(plane)] = g.dz[plane];
    for (int gate = 0; gate < t.gates; ++gate) {
      d_in.append(by_gate[gate]);
      d_rec.append(g.dz[t.recurrent_plane() + gate]);
    }
    py::dict result;
    result["h"] = s.h, result["c"] = s.c;
    result["d_in"] = d_in, result["d_rec"] = d_rec;
    result["dh_prev"] = g.dh_prev, result["dc_prev"] = g.dc_prev, result["dc_total"] = g.dc_total;
    return result;
  });
}

}  // namespace

PYBIND11_MODULE(_hooks, m) {
  m.def("isas", [] {
    py::list names;
    for (const hooks::Isa* isa : available()) names.append(isa->name);
    return names;
  });
  m.def("float_lanes", [](const std::string& isa) { return isa_named(isa).float_lanes; });
#define HOOK_MAP(name, From, To) \
  m.def(#name, [](const std::string& isa, const py::buffer& from, const py::buffer& to) { map<From, To>(isa_named(isa).name, from, to); });
  HOOK_MAP(tanh_float, float, float)
  HOOK_MAP(tanh_double, double, double)
  HOOK_MAP(sigmoid_float, float, float)
  HOOK_MAP(sigmoid_double, double, double)
  HOOK_MAP(load_bfloat16, uint16_t, float)
  HOOK_MAP(load_half, uint16_t, float)
  HOOK_MAP(store_bfloat16, float, uint16_t)
  HOOK_MAP(store_half, float, uint16_t)
#undef HOOK_MAP
  m.def("norm_float", [](const std::string& isa, const py::buffer& v) {
    const Array<float> a(v);
    return isa_named(isa).norm_float(a.data(), a.size());
  });
  m.def("norm_double", [](const std::string& isa, const py::buffer& v) {
    const Array<double> a(v);
    return isa_named(isa).norm_double(a.data(), a.size());
  });
  m.def("cell_step", cell_step, py::arg("cell"), py::arg("in_"), py::arg("rec"), py::arg("h_prev"), py::arg("c_prev"), py::arg("scale"),
        py::arg("dh"), py::arg("dc"));
}
