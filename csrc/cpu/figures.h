// Figures of states and gates for a monitor, one pass over each row; see core/figures.h.

namespace seqgrad::cpu::SEQGRAD_ISA {

constexpr int64_t kBytesPerPart = 1 << 20;  // what another thread must have to read to be worth waking

// f over all lanes, by halves as SquareSum::total; f takes vectors and single numbers.
template <class V, class F>
SEQGRAD_HD auto fold(V v, F&& f) {
  using E = std::remove_cvref_t<decltype(v[0])>;
  if constexpr (sizeof(V) == 2 * sizeof(E)) return f(E(v[0]), E(v[1]));
  else {
    typedef E Half __attribute__((vector_size(sizeof(V) / 2)));
    Half part[2];
    __builtin_memcpy(part, &v, sizeof(v));
    return fold(f(part[0], part[1]), f);
  }
}

// body(vector) for each vector of a row; lanes beyond its end are 0.
template <class S, class F>
SEQGRAD_HD void for_vectors(const S* row, int64_t width, F&& body) {
  constexpr int L = kLanes<Arithmetic<S>>;
  int64_t c = 0;
  for (; c + L <= width; c += L) body(load(row + c, L));
  if (c < width) body(load(row + c, int(width - c)));
}

template <class S>
void figures_of_row(const Rows& r, const S* row, int64_t at) {
  using A = Arithmetic<S>;
  using I = typename Simd<A>::I;
  if (r.norm) {
    SquareSum sum;
    for_vectors(row, r.width, [&](Vec<A> v) { sum.add(v); });
    static_cast<A*>(r.norm)[at] = A(norm_from(sum.total(), [&](auto&& visit) {
      for (int64_t c = 0; c < r.width; ++c) visit(double(load(row + c, 1)[0]));
    }));
  }
  if (r.peak) {  // sizes are in the order of their bits, and NaN is beyond them all
    I most{};
    for_vectors(row, r.width, [&](Vec<A> v) {
      const I size = bit_cast<I>(Math<A>::magnitude(v));
      most = size > most ? size : most;
    });
    static_cast<A*>(r.peak)[at] = bit_cast<A>(fold(most, [](auto a, auto b) { return a > b ? a : b; }));
  }
  if (r.beyond) {
    I count{};
    for_vectors(row, r.width, [&](Vec<A> v) { count -= I(Math<A>::magnitude(v) > A(r.level)); });
    r.beyond[at] = float(fold(count, [](auto a, auto b) { return a + b; })) / float(std::max<int64_t>(r.width, 1));
  }
}

template <class S>
void figures_of_rows(const Rows& r, const Parallel& parallel) {
  const int64_t bytes = r.T * r.N * r.width * int64_t(sizeof(S));
  const int64_t parts = std::max<int64_t>(1, std::min<int64_t>({parallel.threads, bytes / kBytesPerPart, r.T}));
  parallel(parts, [&](int64_t part) {
    for (int64_t t = r.T * part / parts; t < r.T * (part + 1) / parts; ++t)
      for (int64_t n = 0; n < r.N; ++n) figures_of_row(r, static_cast<const S*>(r.values) + t * r.stride_t + n * r.stride_n, t * r.N + n);
  });
}

template <class A>
void figures_of_gates(const GateEnds& g) {
  using I = typename Simd<A>::I;
  constexpr int L = kLanes<A>;
  const auto sum = [](auto a, auto b) { return a + b; };
  const Vec<A> shut = splat<A>(A(1 - g.level)), open = splat<A>(A(g.level));
  const int64_t steps = g.steps(), padded = (g.H + L - 1) / L * L - g.H;
  for (int64_t k = 0; k < g.gates; ++k)
    for (int64_t s = 0; s < steps; ++s) {
      const int64_t t = g.offset + s * g.stride;
      I below{}, above{};
      int64_t rows = 0;
      for (int64_t n = 0; n < g.N; n += g.every) {
        if (g.lengths && t >= g.lengths[n]) continue;
        const A* row = static_cast<const A*>(g.saved) + ((t * g.N + n) * g.planes + k) * g.H;
        for (int64_t u = 0; u < g.H; u += L) {
          const Vec<A> v = load(row + u, int(std::min<int64_t>(L, g.H - u)));
          above -= I((k == g.candidate ? Math<A>::magnitude(v) : v) > open);
          below -= I(v < shut);
        }
        ++rows;
      }
      const float all = float(std::max<int64_t>(rows * g.H, 1));
      g.low[k * steps + s] = k == g.candidate ? 0.0f : float(fold(below, sum) - rows * padded) / all;  // a padded zero is low
      g.high[k * steps + s] = float(fold(above, sum)) / all;
    }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
