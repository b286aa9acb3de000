// Both directions of a bidirectional layer in one call, for eager code on the CPU (seqgrad/_both.py): at the same time
// where one of them alone would leave a thread idle, and each straight into its half of the one output.
#include "call.h"

#if !defined(SEQGRAD_EMULATOR)  // there the CUDA engine stands behind tensors of the CPU

namespace seqgrad {
namespace {

// `own`: the tensors of one direction, w_ih, w_hh, [b_ih, b_hh,] [w_hr,] h0, [c0].
Call make_direction(const Tensor& x, const std::vector<Tensor>& own, const OptionalTensor& lengths, bool reverse, Settings s) {
  const bool two = kCells[int(s.cell)].traits.states == 2;
  const int64_t weights = int64_t(own.size()) - 1 - two;
  if (weights < 2 || weights > 5)
    fail("a direction must have 2 to 5 weights and its states, got " + std::to_string(own.size()) + " tensors");
  const bool biased = weights >= 4, projected = weights % 2 == 1;
  const auto maybe = [&](bool there, int64_t i) { return there ? OptionalTensor(own[i]) : OptionalTensor(); };
  s.reverse = reverse;
  Call call = make_call<OnCpu>(From::graph, x, own[0], own[1], maybe(biased, 2), maybe(biased, 3), maybe(projected, weights - 1),
                               own[weights], maybe(two, weights + 1), lengths, s);
  call.layer.out_width = 2 * call.layer.P;
  return call;
}

struct Both {
  const Call directions[2];
  const Layer& p = directions[0].layer;
  const Tensor& x = directions[0].x;
  const bool two = p.traits().states == 2;

  Both(const Tensor& given, const std::vector<Tensor>& ahead, const std::vector<Tensor>& back, const OptionalTensor& lengths,
       const Settings& s)
      : Both(s, given.dim() ? dense_rows(given) : given, ahead, back, lengths) {}
  Both(const Settings& s, const Tensor& dense_x, const std::vector<Tensor>& ahead, const std::vector<Tensor>& back,
       const OptionalTensor& lengths)
      : directions{make_direction(dense_x, ahead, lengths, false, s), make_direction(dense_x, back, lengths, true, s)} {
    const Layer& q = directions[1].layer;
    if (q.H != p.H || q.P != p.P) fail("both directions must have the same hidden size");
  }

  int64_t rows() const { return p.first_row ? x.size(0) : p.T * p.N; }
  Tensor empty(std::initializer_list<int64_t> shape) const { return directions[0].empty(shape); }
  Tensor empty_saved() const {
    const int64_t planes = p.traits().saved;
    return p.first_row ? kept_on(x, {2, rows(), planes, p.H}, arithmetic(x)) : kept_on(x, {2, p.T, p.N, planes, p.H}, arithmetic(x));
  }

  // run(direction, the threads it may use)
  template <class F>
  void run(cpu::Split alone, F&& body) const {
    const Parallel threads = torch_parallel();
    if (cpu::both_at_once(p, alone, threads.threads)) threads(2, [&](int64_t d) { body(int(d), Parallel{}); });
    else body(0, threads), body(1, threads);
  }
};

// Where direction d's share of `t` begins, `size` elements after the other's.
void* half(const Tensor& t, int d, int64_t size) {
  char* begin = static_cast<char*>(data(t));
  return begin ? begin + d * size * int64_t(t.element_size()) : nullptr;
}
void* half(const OptionalTensor& t, int d, int64_t size) { return t ? half(*t, d, size) : nullptr; }

std::tuple<Tensor, Tensor, Tensor, Tensor> forward_both(Tensor x, std::vector<Tensor> ahead, std::vector<Tensor> back,
                                                        OptionalTensor lengths, std::string cell, double scale, std::string clip,
                                                        double clip_limit, int64_t truncate, bool save) {
  const Both both(x, ahead, back, lengths, {cell_named(cell), false, scale, clip_named(clip), clip_limit, truncate});
  const Layer& p = both.p;
  Tensor out = both.directions[0].empty_rows(x.scalar_type(), 2 * p.P), hn = both.empty({2, p.N, p.P});
  Tensor cn = both.two ? both.empty({2, p.N, p.H}) : both.empty({0});
  Tensor saved = save ? both.empty_saved() : both.directions[0].empty({0}, arithmetic(x));
  if (p.N > 0)
    both.run(cpu::split_forward(p, torch_parallel().threads), [&](int d, const Parallel& threads) {
      cpu::engine().forward(
          both.directions[d].layer,
          {half(out, d, p.P), half(hn, d, p.N * p.P), half(cn, d, p.N * p.H), half(saved, d, both.rows() * p.traits().saved * p.H)},
          threads);
    });
  return {out, hn, cn, saved};
}

// dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr of one direction, then of the other; then dh0 and dc0 [2, N, *], norms [2, Q, T, N].
std::vector<Tensor> backward_both(OptionalTensor grad_out, OptionalTensor grad_hn, OptionalTensor grad_cn, Tensor out, Tensor saved,
                                  Tensor x, std::vector<Tensor> ahead, std::vector<Tensor> back, OptionalTensor lengths, std::string cell,
                                  double scale, std::string clip, double clip_limit, int64_t truncate, bool need_input, bool need_weights,
                                  bool norms) {
  const Both both(x, ahead, back, lengths, {cell_named(cell), false, scale, clip_named(clip), clip_limit, truncate});
  const Layer& p = both.p;
  const Call& first = both.directions[0];
  const Checker check{both.x};
  const int64_t planes = p.traits().saved, quantities = norm_rows(p).count;
  if (grad_out) first.check_rows("grad_out", *grad_out, x.scalar_type(), 2 * p.P);
  check("grad_hn", grad_hn, {2, p.N, p.P});
  if (both.two) check("grad_cn", grad_cn, {2, p.N, p.H});
  first.check_rows("out", out, x.scalar_type(), 2 * p.P);
  if (p.first_row) check("saved", saved, arithmetic(x), {2, both.rows(), planes, p.H});
  else check("saved", saved, arithmetic(x), {2, p.T, p.N, planes, p.H});
  const bool even = grad_out && grad_out->stride(-1) == 0;
  if (grad_out && !even) grad_out = dense_rows(*grad_out);
  grad_hn = dense(grad_hn), grad_cn = dense(grad_cn), out = dense(out), saved = dense(saved);

  Tensor dx[2] = {both.empty({0}), both.empty({0})};
  if (need_input)
    for (Tensor& d : dx) d = first.empty_rows(x.scalar_type(), p.I);
  WeightGradients weights[2] = {{both.directions[0], need_weights}, {both.directions[1], need_weights}};
  Tensor dh0 = both.empty({2, p.N, p.P}), dc0 = both.two ? both.empty({2, p.N, p.H}) : both.empty({0});
  Tensor measured = norms ? first.empty({2, quantities, p.T, p.N}, arithmetic(x)) : first.empty({0}, arithmetic(x));
  if (p.N > 0) {
    both.run(cpu::split_backward(p, torch_parallel().threads, need_weights, norms), [&](int d, const Parallel& threads) {
      Backward b;
      b.out = half(out, d, p.P), b.saved = half(saved, d, both.rows() * planes * p.H);
      b.grad_hn = half(grad_hn, d, p.N * p.P), b.grad_cn = both.two ? half(grad_cn, d, p.N * p.H) : nullptr;
      if (grad_out) {
        b.grad_out = half(*grad_out, d, even ? 0 : p.P), b.grad_out_even = even;
        b.grad_out_stride_t = grad_out->stride(0), b.grad_out_stride_n = grad_out->stride(-2);
      }
      weights[d].fill(b);
      b.dx = data(dx[d]), b.dh0 = half(dh0, d, p.N * p.P), b.dc0 = half(dc0, d, p.N * p.H);
      b.norms = half(measured, d, quantities * p.T * p.N);
      cpu::engine().backward(both.directions[d].layer, b, threads);
    });
  } else {
    for (WeightGradients& w : weights) w.zero();
  }
  std::vector<Tensor> found;
  for (int d = 0; d < 2; ++d) {
    const WeightGradients& w = weights[d];
    found.push_back(dx[d]);
    for (const OptionalTensor* t : {&w.dw_ih, &w.dw_hh, &w.db_ih, &w.db_hh, &w.dw_hr}) found.push_back(first.or_nothing(*t));
  }
  found.insert(found.end(), {dh0, dc0, measured});
  return found;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(seqgrad, m) {
  m.def(
      "forward_both(Tensor x, Tensor[] ahead, Tensor[] back, Tensor? lengths, str cell, float scale, str clip, float clip_limit, "
      "int truncate, bool save) -> (Tensor out, Tensor hn, Tensor cn, Tensor saved)");
  m.def(
      "backward_both(Tensor? grad_out, Tensor? grad_hn, Tensor? grad_cn, Tensor out, Tensor saved, Tensor x, Tensor[] ahead, "
      "Tensor[] back, Tensor? lengths, str cell, float scale, str clip, float clip_limit, int truncate, bool need_input, "
      "bool need_weights, bool norms) -> Tensor[]");
}

STABLE_TORCH_LIBRARY_IMPL(seqgrad, CPU, m) {
  m.impl("forward_both", TORCH_BOX(&forward_both));
  m.impl("backward_both", TORCH_BOX(&backward_both));
}

}  // namespace seqgrad

#endif
