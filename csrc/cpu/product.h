// One product over all its tiles, whichever they are.

namespace seqgrad::cpu::SEQGRAD_ISA {

// C [rows, blocks] = start + A [rows, depth] B [depth, blocks]; A and C blocked, steps between column blocks.
template <class A>
struct Product {
  Left<A> a;
  Depth depth;
  const Factor<A>* b;
  int64_t b_step;
  A* c;
  int64_t c_step;
  Start<A> start;
};

// What a product copies of its left operand at a time, and the scratch that takes.
inline int64_t multiply_size(int64_t rows, int64_t depth_blocks) {
  return left_size(std::min<int64_t>(rows, left_rows()), std::min<int64_t>(depth_blocks, kPartBlocks));
}

// As much of the depth as m.depth says, from A's column block `at` on.
template <class A>
void multiply_part(const Product<A>& m, int64_t at, int64_t all_rows, int64_t blocks, Factor<A>* scratch) {
  constexpr int L = kLanes<A>;
  const int64_t most_rows = left_rows();
  const bool far = blocks * m.b_step * int64_t(sizeof(Factor<A>)) > kNear;
  for (int64_t first = 0; first < all_rows; first += most_rows) {
    const int64_t rows = std::min(all_rows - first, most_rows);
    const auto left = m.a.part(first, rows, at, m.depth, scratch);
    const int most = panel_of(rows, blocks);
    const int64_t row_tiles = pieces(rows, max_rows(most)), panels = pieces(blocks, most);
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t block = piece_begin(blocks, panels, j), next = piece_begin(blocks, panels, j + 1), width = next - block;
      const int64_t coming = far && j + 1 < panels && row_tiles >= kTilesToFetch ? piece_begin(blocks, panels, j + 2) - next : 0;
      for (int64_t i = 0; i < row_tiles; ++i) {
        const int64_t r0 = row_begin(rows, row_tiles, i), r1 = row_begin(rows, row_tiles, i + 1), row = first + r0;
        run_tile<A>(int(r1 - r0), int(width),
                    {left.row(r0),
                     left.step,
                     m.b + block * m.b_step,
                     m.b_step,
                     m.c + block * m.c_step + row * L,
                     m.c_step,
                     m.depth,
                     {m.start.at + block * m.start.step + row * m.start.row, m.start.step, m.start.row},
                     share_of<A>(m.b + next * m.b_step, m.b_step, coming, row_tiles, i)});
      }
    }
  }
}

// The same in parts of the depth where the left operand is too large to stay near (depth_parts): then a panel of B stays nearest
// of all. The sums wait in C.
template <class A>
void multiply(const Product<A>& m, int64_t rows, int64_t blocks, Factor<A>* scratch) {
  constexpr int64_t L = kLanes<A>;
#if SEQGRAD_AMX
  const int64_t groups = 1, group = m.depth.blocks(), rest = 0;
#else
  const int64_t groups = m.depth.groups, rest = m.depth.rest, group = m.depth.whole + (rest > 0);
#endif
  const int64_t parts = depth_parts(rows * int64_t(sizeof(A)) * L, groups, group), tiles = pieces(group, kTileBlocks);
  if (groups * parts <= 1) return multiply_part(m, 0, rows, blocks, scratch);
  Product<A> part = m;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t begin = piece_begin(tiles, parts, i) * kTileBlocks,
                    end = std::min(group, piece_begin(tiles, parts, i + 1) * kTileBlocks);
      const int64_t at = g * group + begin;
      const bool ragged = rest && end == group;
      part.b = m.b + right_at<A>(at), part.depth = {1, end - begin - ragged, ragged ? int(rest) : 0};
      if (at) part.start = {m.c, m.c_step, L};
      multiply_part(part, at, rows, blocks, scratch);
    }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
