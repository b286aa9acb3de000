// What a monitor wants to know of a forward that just ran, in one call: for eager code on the CPU, where a dozen torch
// operations on cold caches would cost several times as much (seqgrad/_forward_figures.py).
#include "cpu/engine.h"
#include "core/aten.h"

namespace seqgrad {
namespace {

Rows rows_of(const char* name, const Tensor& values, int64_t dims) {
  if (values.dim() != dims)
    fail(std::string(name) + (dims == 3 ? " must have shape [T, N, *], got " : " must have shape [N, *], got ") + shape_text(values));
  Rows rows;
  rows.dtype = storage_dtype(name, values);
  rows.values = data(values);
  rows.T = dims == 3 ? values.size(0) : 1, rows.N = values.size(-2), rows.width = values.size(-1);
  rows.stride_t = dims == 3 ? values.stride(0) : 0, rows.stride_n = values.stride(-2);
  return rows;
}

// [T, N] of rows, [N] of the single step of an initial state.
Tensor figure(const Tensor& like, ScalarType type) {
  return like.dim() == 3 ? empty_on(like, {like.size(0), like.size(1)}, type) : empty_on(like, {like.size(0)}, type);
}

// `peak`, `beyond`: whether these figures of out are wanted. `ends` [2, G, S], low and high, of `gates` at the time steps
// offset, offset + stride, ..., [0] without saved.
std::tuple<Tensor, Tensor, OptionalTensor, OptionalTensor, OptionalTensor, Tensor> forward_figures(
    Tensor out, Tensor h0, OptionalTensor x, OptionalTensor saved, OptionalTensor lengths, bool peak, bool beyond, double level,
    int64_t gates, int64_t candidate, int64_t offset, int64_t stride, int64_t every) {
  if (!out.is_cpu()) fail("forward_figures is for tensors on the CPU");
  const cpu::Engine& engine = cpu::engine();
  const Parallel threads = torch_parallel();
  const Checker check{out};
  out = dense_rows(out), h0 = dense_rows(h0);

  Rows states = rows_of("out", out, 3), initial = rows_of("h0", h0, 2);
  const Tensor norm = figure(out, arithmetic(out)), start = figure(h0, arithmetic(h0));
  OptionalTensor top, share, input;
  states.level = level;
  states.norm = data(norm), initial.norm = data(start);
  if (peak) top = figure(out, arithmetic(out)), states.peak = data(*top);
  if (beyond) share = figure(out, ScalarType::Float), states.beyond = static_cast<float*>(data(*share));
  engine.row_figures(states, threads);
  engine.row_figures(initial, threads);
  if (x) {
    x = dense_rows(*x);
    Rows inputs = rows_of("x", *x, 3);
    input = figure(*x, arithmetic(*x));
    inputs.peak = data(*input);
    engine.row_figures(inputs, threads);
  }

  if (!saved) return {norm, start, top, share, input, empty_on(out, {0}, ScalarType::Float)};
  if (saved->dim() != 4 || gates < 1 || gates > saved->size(2) || offset < 0 || offset >= states.T || stride < 1 || every < 1)
    fail("saved must have shape [T, N, S, H], and its gates and time steps must lie in it, got " + shape_text(*saved));
  check("saved", *saved, arithmetic(out), {states.T, states.N, saved->size(2), saved->size(3)});
  if (lengths) check("lengths", *lengths, ScalarType::Long, {states.N});
  saved = dense(saved), lengths = dense(lengths);
  GateEnds g;
  g.wide = arithmetic(out) == ScalarType::Double;
  g.saved = data(*saved), g.lengths = static_cast<const int64_t*>(data(lengths));
  g.T = states.T, g.N = states.N, g.planes = saved->size(2), g.H = saved->size(3);
  g.gates = gates, g.candidate = candidate, g.offset = offset, g.stride = stride, g.every = every, g.level = level;
  const Tensor ends = empty_on(out, {2, gates, g.steps()}, ScalarType::Float);
  g.low = static_cast<float*>(data(ends)), g.high = g.low + gates * g.steps();
  engine.gate_figures(g);
  return {norm, start, top, share, input, ends};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(seqgrad, m) {
  m.def(
      "forward_figures(Tensor out, Tensor h0, Tensor? x, Tensor? saved, Tensor? lengths, bool peak, bool beyond, float level, int gates, "
      "int candidate, int offset, int stride, int every) "
      "-> (Tensor norm, Tensor start, Tensor? peak, Tensor? beyond, Tensor? x_peak, Tensor ends)");
}

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CPU, m) { m.impl("forward_figures", TORCH_BOX(&forward_figures)); }

}  // namespace seqgrad
