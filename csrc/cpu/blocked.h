// Copies into and out of the blocked layout of gemm.h.

namespace seqgrad::cpu::SEQGRAD_ISA {

template <class A>
constexpr int64_t blocks_of(int64_t columns) {
  return (columns + kLanes<A> - 1) / kLanes<A>;
}
template <class A>
SEQGRAD_HD int lanes_in(int64_t block, int64_t columns) {
  const int64_t left = columns - block * kLanes<A>;
  return left < kLanes<A> ? int(left) : kLanes<A>;
}

// One row of `columns` stored values into row 0 of a blocked matrix (the caller offsets by row * L).
template <class S, class A = Arithmetic<S>>
void pack_row(const S* row, int64_t columns, A* to, int64_t step) {
  for (int64_t b = 0; b < blocks_of<A>(columns); ++b) store_aligned(to + b * step, load(row + b * kLanes<A>, lanes_in<A>(b, columns)));
}
template <class S, class A>
void unpack_row(const A* from, int64_t step, int64_t columns, S* row) {
  for (int64_t b = 0; b < blocks_of<A>(columns); ++b) store(row + b * kLanes<A>, load_aligned(from + b * step), lanes_in<A>(b, columns));
}

// A row that will be read soon: the processor does not foresee going back in time. Worth it where the arrays of all time
// steps, more than kFar bytes, do not stay near by themselves.
constexpr int64_t kFar = int64_t(4) << 20;
template <class S>
SEQGRAD_HD void prefetch_row(const S* row, int64_t columns) {
  constexpr int64_t kLine = 64 / sizeof(S);
  for (int64_t c = 0; c < columns; c += kLine) __builtin_prefetch(row + c, 0, 2);
}

// Whether rows of `columns`, `step` apart, are written past the caches: where they are whole lines, and more of them than any
// cache holds, so that whoever reads them next goes far anyway.
constexpr int64_t kMoreThanCaches = int64_t(32) << 20;
template <class S>
bool written_past(const void* array, int64_t rows, int64_t step, int64_t columns) {
  constexpr int64_t L = kLanes<Arithmetic<S>>;
  return kGoesPast<S> && rows * columns * int64_t(sizeof(S)) > kMoreThanCaches && step % L == 0 && columns % L == 0 &&
         reinterpret_cast<uintptr_t>(array) % (L * sizeof(S)) == 0;
}

// Column block `block` (of gate = block / blocks_of(units)) of the transpose of w [gates * units, depth]:
// to[k][lane] = w[gate * units + unit(lane)][k]. The right operand of x W^T and h W^T.
template <class S, class A = Arithmetic<S>>
void pack_transposed(const S* w, int64_t units, int64_t depth, int64_t block, A* to) {
  constexpr int L = kLanes<A>;
  const int64_t ub = blocks_of<A>(units), gate = block / ub, u = block % ub;
  const int lanes = lanes_in<A>(u, units);
  const S* rows = w + (gate * units + u * L) * depth;
  for (int64_t kb = 0; kb < blocks_of<A>(depth); ++kb) {
    alignas(64) A square[L][L] = {};
    for (int lane = 0; lane < lanes; ++lane) store_aligned(square[lane], load(rows + lane * depth + kb * L, lanes_in<A>(kb, depth)));
    A* target = to + kb * L * L;
    for (int k = 0; k < L; ++k)
      for (int lane = 0; lane < L; ++lane) target[k * L + lane] = square[lane][k];
  }
}

// Column block `block` of w [gates * units, columns] with gates in plane order and units padded per gate:
// to[plane * padded units + unit][lane]. The right operand of dz W.
template <class S, class A = Arithmetic<S>, class GateOf>
void pack_straight(const S* w, int planes, GateOf gate_of, int64_t units, int64_t columns, int64_t block, A* to) {
  constexpr int L = kLanes<A>;
  const int64_t padded = blocks_of<A>(units) * L;
  const int lanes = lanes_in<A>(block, columns);
  for (int plane = 0; plane < planes; ++plane) {
    A* rows = to + plane * padded * L;
    for (int64_t u = 0; u < units; ++u) store_aligned(rows + u * L, load(w + (gate_of(plane) * units + u) * columns + block * L, lanes));
    for (int64_t u = units; u < padded; ++u) store_aligned(rows + u * L, Vec<A>{});
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
