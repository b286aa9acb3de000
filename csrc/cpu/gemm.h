// Products on small tiles of C (+)= A B held in registers.

namespace seqgrad::cpu::SEQGRAD_ISA {

// Register budget: R rows x P vectors of accumulators, the fewer of R broadcasts of A and P vectors of B, one of the others.
constexpr int kMaxPanel = 4, kMostRows = 14;
constexpr int max_rows(int panel) {
  const int rows = (SEQGRAD_VECTOR_REGISTERS - 4) / panel;
  return rows < kMostRows ? rows : kMostRows;
}
constexpr int kTransposedPanel = SEQGRAD_VECTOR_REGISTERS < 16 ? 2 : 3;
template <class A> constexpr int kTransposedRows = SEQGRAD_VECTOR_REGISTERS == 32 && kLanes<A> >= 8 ? 8 : (kLanes<A> < 4 ? kLanes<A> : 4);

constexpr int64_t kTilesToFetch = 3;
inline int64_t row_begin(int64_t rows, int64_t tiles, int64_t i) { return piece_begin(rows, tiles, i); }

// Both factors are read where they lie: nothing is copied, no memory wanted.
template <class A>
struct Left {
  const A* at;
  int64_t step;
  const A* row(int64_t r) const { return at + r * kLanes<A>; }
  Left part(int64_t first, int64_t, int64_t block, const Depth&, A*) const { return {at + block * step + first * kLanes<A>, step}; }
};
// One that is packed row by row, all of its columns at a time.
inline int64_t packed_parts(int64_t) { return 1; }
template <class A>
int64_t packed_size(int64_t rows, int64_t columns) {
  return blocks_of<A>(columns) * rows * kLanes<A>;
}
template <class S, class A = Arithmetic<S>>
void pack_left(const S* const* row, int64_t count, int64_t columns, A* to, int64_t r, int64_t rows) {
  for (int64_t i = 0; i < count; ++i) pack_row(row[i], columns, to + (r + i) * kLanes<A>, rows * kLanes<A>);
}
template <class A>
Left<A> packed_left(const A* at, int64_t rows) {
  return {at, rows * kLanes<A>};
}
inline int64_t left_rows() { return std::numeric_limits<int64_t>::max(); }
constexpr int64_t kLeftNear = int64_t(512) << 10;  // more bytes of it do not stay near while all panels of B pass by
constexpr int64_t kPartBlocks = 16;                // then they do so in parts: added to in the same order, sums keep their bits
inline int64_t depth_parts(int64_t block_bytes, int64_t groups, int64_t group) {
  return block_bytes * groups * group <= kLeftNear ? 0 : pieces(group, kPartBlocks);
}
constexpr int64_t kTileBlocks = 1;
template <class A> int64_t right_at(int64_t depth_block) { return depth_block * kLanes<A> * kLanes<A>; }
inline int64_t left_size(int64_t, int64_t) { return 0; }
inline int64_t transposed_size(int64_t, int64_t, int64_t) { return 0; }
template <class A>
int64_t right_size(int64_t depth_blocks) {
  return depth_blocks * kLanes<A> * kLanes<A>;
}
struct TileUse {};

template <class A, int R, int P, bool kAhead>
void tile_kernel(const Tile<A>& t) {
  constexpr int L = kLanes<A>;
  Vec<A> acc[R][P];
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) acc[r][p] = t.start.at ? load_aligned(t.start.at + p * t.start.step + r * t.start.row) : Vec<A>{};
  const A *a = t.a, *b = t.b;
  const auto column = [&](int k) __attribute__((always_inline)) {
    constexpr bool kHoldRows = R < P;  // the fewer of the two wait in registers: of sixteen, one more would push out a sum
    Vec<A> held[kHoldRows ? R : P];
    if constexpr (kHoldRows) {
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) held[r] = splat<A>(a[r * L + k]);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const Vec<A> bv = load_aligned(b + k * L + p * t.b_step);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) acc[r][p] += held[r] * bv;
      }
    } else {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) held[p] = load_aligned(b + k * L + p * t.b_step);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const Vec<A> av = splat<A>(a[r * L + k]);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) acc[r][p] += av * held[p];
      }
    }
  };
  for (int64_t group = 0; group < t.depth.groups; ++group) {
    for (int64_t block = 0; block < t.depth.whole; ++block, a += t.a_step, b += L * L)
#pragma GCC unroll 2
      for (int k = 0; k < L; ++k) {
        if constexpr (kAhead)
          for (int p = 0; p < t.ahead.blocks; ++p) __builtin_prefetch(t.ahead.at + (b - t.b) + p * t.b_step + k * L, 0, 2);
        column(k);
      }
    if (!t.depth.rest) continue;
    for (int k = 0; k < t.depth.rest; ++k) column(k);
    a += t.a_step, b += L * L;
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) store_aligned(t.c + p * t.c_step + r * L, acc[r][p]);
}

// C[r] += sum over rows k of A[k][r] * B[k]: the weight gradients.
template <class A>
struct TransposedTile {
  const A* a;      // row 0, first of the R columns
  const A* b;      // row 0 of the first of P column blocks
  int64_t b_step;  // to the next of them
  A* c;            // row 0 of the first of P column blocks
  int64_t c_step;  // to the next of them
  int64_t rows;    // of A and B
};

template <class A, int P>
void transposed_tile_kernel(const TransposedTile<A>& t) {
  constexpr int L = kLanes<A>, R = kTransposedRows<A>;
  Vec<A> acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) acc[r][p] = Vec<A>{};
  const A *a = t.a, *b = t.b;
#pragma GCC unroll 2
  for (int64_t k = 0; k < t.rows; ++k, a += L, b += L) {
    Vec<A> bv[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) bv[p] = load_aligned(b + p * t.b_step);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<A> av = splat<A>(a[r]);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) acc[r][p] += av * bv[p];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      A* c = t.c + p * t.c_step + r * L;
      store_aligned(c, load_aligned(c) + acc[r][p]);
    }
}

template <class A, int P, bool kAhead, int R = max_rows(P)>
SEQGRAD_HD void run_rows(int rows, const Tile<A>& t) {
  if (rows == R) tile_kernel<A, R, P, kAhead>(t);
  else if constexpr (R > 1) run_rows<A, P, kAhead, R - 1>(rows, t);
}
template <class A, bool kAhead>
void run_panel(int rows, int panel, const Tile<A>& t) {
  switch (panel) {
    case 1: return run_rows<A, 1, kAhead>(rows, t);
    case 2: return run_rows<A, 2, kAhead>(rows, t);
    case 3: return run_rows<A, 3, kAhead>(rows, t);
    default: return run_rows<A, 4, kAhead>(rows, t);
  }
}
template <class A>
void run_tile(int rows, int panel, const Tile<A>& t) {
  t.ahead.blocks ? run_panel<A, true>(rows, panel, t) : run_panel<A, false>(rows, panel, t);
}

// Column blocks per tile. Two, with twice the rows, read B from far half as often; but an odd block out costs more than that.
inline int panel_of(int64_t rows, int64_t blocks) {
  const bool many_rows = SEQGRAD_VECTOR_REGISTERS == 32 && rows > max_rows(kMaxPanel);
  return many_rows && (blocks % 2 == 0 || blocks > 8) ? 2 : kMaxPanel;
}

// Weight gradients over `rows` rows of one A, which has planes of `units` columns, each padded; blocks of A and B `step` apart.
template <class A>
void multiply_transposed(const A* a, int64_t step, int64_t groups, int64_t units, std::span<const Gradient<A>> gradients, int64_t rows,
                         A*) {
  constexpr int L = kLanes<A>, R = kTransposedRows<A>;
  const int64_t unit_blocks = blocks_of<A>(units), a_blocks = groups * unit_blocks, c_step = a_blocks * L * L;
  for (const auto& g : gradients) {
    const int64_t panels = pieces(g.b_blocks, kTransposedPanel);
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t bb = piece_begin(g.b_blocks, panels, j), width = piece_begin(g.b_blocks, panels, j + 1) - bb;
      for (int64_t ab = 0; ab < a_blocks; ++ab)
        for (int r = 0; r < lanes_in<A>(ab % unit_blocks, units); r += R) {
          const TransposedTile<A> t{a + (g.plane * unit_blocks + ab) * step + r, g.b + bb * step, step,
                                    g.c + bb * c_step + (ab * L + r) * L,        c_step,          rows};
          if (width == 3) transposed_tile_kernel<A, 3>(t);
          else if (width == 2) transposed_tile_kernel<A, 2>(t);
          else transposed_tile_kernel<A, 1>(t);
        }
    }
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
