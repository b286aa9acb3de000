// One product over all its tiles, whichever they are.

namespace seqgrad::cpu::SEQGRAD_ISA {

// C [rows, blocks] = start + A [rows, depth] B [depth, blocks]; A and C blocked, steps between column blocks.
template <class A>
struct Product {
  const A* a;
  int64_t a_step;
  Depth depth;
  const Factor<A>* b;
  int64_t b_step;
  A* c;
  int64_t c_step;
  Start<A> start;
  bool exact = false;  // every element of A is one of Factor<A>
};

// What a product copies of its left operand at a time, and the scratch that takes.
inline int64_t multiply_size(int64_t rows, int64_t depth_blocks) {
  return left_size(std::min(rows, left_rows(depth_blocks)), depth_blocks);
}

template <class A>
void multiply(const Product<A>& m, int64_t all_rows, int64_t blocks, Factor<A>* scratch) {
  constexpr int L = kLanes<A>;
  const int64_t most_rows = left_rows(m.depth.blocks());
  for (int64_t first = 0; first < all_rows; first += most_rows) {
    const int64_t rows = std::min(all_rows - first, most_rows);
    const auto left = left_of(m.a + first * L, m.a_step, m.depth, rows, m.exact, scratch);
    const int most = panel_of(rows, blocks);
    const int64_t row_tiles = pieces(rows, max_rows(most)), panels = pieces(blocks, most);
    for (int64_t j = 0; j < panels; ++j) {
      const int64_t block = piece_begin(blocks, panels, j), width = piece_begin(blocks, panels, j + 1) - block;
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
                     {m.start.at + block * m.start.step + row * m.start.row, m.start.step, m.start.row}});
      }
    }
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
