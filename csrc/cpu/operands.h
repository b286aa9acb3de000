// What the engine's products take and give, the same for both kinds of tiles: gemm.h's in registers, amx.h's.
//
// Operands are *blocked*: a matrix of R rows and C columns is stored as [ceil(C / L)][R][L], L lanes, zero in the padded
// columns. A row segment is one aligned vector, a column of the state is L contiguous lanes. Weights are packed once per
// call, as the tiles like to read them; the left operand is read where it lies or, by amx.h, copied first.

namespace seqgrad::cpu::SEQGRAD_ISA {

// An element of a product's factors as the tiles read them; sums are of A.
#if SEQGRAD_AMX
template <class A> using Factor = BFloat16;
#else
template <class A> using Factor = A;
#endif

// The columns of a left operand: `groups` (gates) of `whole` column blocks and `rest` lanes of one more. The padded columns
// are not multiplied: of 72 units they would be a tenth of the work.
struct Depth {
  int64_t groups, whole;
  int rest;
  int64_t blocks() const { return groups * (whole + (rest > 0)); }
};
template <class A>
Depth depth_of(int64_t groups, int64_t columns) {
  return {groups, columns / kLanes<A>, int(columns % kLanes<A>)};
}

// What a product is added to: row 0 of its first column block, and the steps to the next block and the next row; null: zero.
// A row step of 0 adds the same row, a bias, to all.
template <class A>
struct Start {
  const A* at = nullptr;
  int64_t step = 0, row = 0;
};

// Splits `count` into pieces of at most `most`, as even as can be: piece i of pieces(count, most).
inline int64_t pieces(int64_t count, int64_t most) { return (count + most - 1) / most; }
inline int64_t piece_begin(int64_t count, int64_t parts, int64_t i) { return count * i / parts; }

// Column blocks of B, b_step apart, that a later tile will read from far: each of their rows is fetched as the tile at hand
// uses the same row of its own. All at once they would fill the queues in which its own loads wait.
template <class A>
struct Ahead {
  const Factor<A>* at = nullptr;
  int blocks = 0;
};
// Worth it where the right operand, larger than kNear, comes from far, and its panels pass enough row tiles, kTilesToFetch:
// fewer have no time for it.
constexpr int64_t kNear = int64_t(2) << 20;
// What row tile i of `tiles` fetches of `blocks` column blocks.
template <class A>
Ahead<A> share_of(const Factor<A>* at, int64_t step, int64_t blocks, int64_t tiles, int64_t i) {
  const int64_t from = piece_begin(blocks, tiles, i);
  return {at + from * step, int(piece_begin(blocks, tiles, i + 1) - from)};
}

template <class A>
struct Tile {
  const Factor<A>* a;  // row 0, column block 0
  int64_t a_step;      // to the next column block of A
  const Factor<A>* b;  // row 0 of the first of P column blocks
  int64_t b_step;      // to the next of them
  A* c;                // row 0 of the first of P column blocks
  int64_t c_step;      // to the next of them
  Depth depth;
  Start<A> start = {};
  Ahead<A> ahead = {};
};

// Left operands that are packed, not copied, are so in pieces of this.
constexpr int64_t kPackedRows = 16, kPackedColumns = 32;

// A weight gradient: C [b_blocks][groups of padded units][L] += A^T B, of A's groups from `plane` on.
template <class A>
struct Gradient {
  int64_t plane;
  const A* b;
  int64_t b_blocks;
  A* c;
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
