// Products on AMX's tiles: one instruction adds 16 x 32 by 32 x 16 bfloat16 to 16 x 16 floats, at sixteen times the rate of
// AVX-512's float32.
//
// bfloat16 storage: weights and inputs are what they are. State and gradients are float, and each is multiplied in two parts:
// one bfloat16 alone, as is usual, would lose 2^-8 of every term; what two lose is 2^-16. What tiles cannot do: a denormal
// counts as zero, and an infinite weight gives NaN.
//
// float storage (SEQGRAD_AMX_FLOAT): every number is three parts, which hold all its bits; of their nine products six are taken,
// the others are 2^-24 of a term. A tile rounds sums less often than AVX-512 does, so that they are nearer to the exact ones.
// Rows of A (columns, for weight gradients) are scaled by powers of two to where no part is a denormal, and their sums back.
// What is left: weights below 2^-110 count with fewer bits, below 2^-126 as zero.

namespace seqgrad::cpu::SEQGRAD_ISA {

// What tiles read of a left operand: [16 rows][depth][part], behind each 16 rows their scales.
struct LeftTiles {
  const BFloat16* at;
  int64_t step, depth;  // elements, tiles
  const BFloat16* row(int64_t r) const { return at + r / 16 * row_tile_size(depth, step); }
};
inline int64_t left_size(int64_t rows, int64_t depth_blocks) {
  return pieces(rows, 16) * row_tile_size(tiles_of(depth_blocks), kParts * kTile);
}
// As many rows and as much depth are copied at a time as stay near beside a panel of B. The depth's parts are the same for any
// number of rows: each is summed on its own, and bits must not depend on how a batch is sliced.
inline int64_t left_rows() { return 256; }
constexpr int64_t kPartBlocks = kRightParts > 1 ? 32 : 64;
inline int64_t depth_parts(int64_t, int64_t, int64_t blocks) { return std::max<int64_t>(pieces(blocks, kPartBlocks), 1); }
constexpr int64_t kTileBlocks = 2;
template <class A> int64_t right_at(int64_t depth_block) { return depth_block / 2 * kRightTile; }

struct Pair { Vec<float> low, high; };  // of 32 columns the first and the last 16

// Row r of `to`, laid out as LeftTiles of `tiles` depth, pair(k) its columns, where it asks for a scale or is not finite. Rows are
// written as if they did not, and again if they do: it is rare.
template <class P, int kCount, class PairOf>
SEQGRAD_HD void scaled_row(PairOf pair, int64_t tiles, BFloat16* to, int64_t r) {
  BFloat16 *row_tile = to + r / 16 * row_tile_size(tiles, kCount * kTile), *row = row_tile + r % 16 * 32;
  U32 most{};
  for (int64_t k = 0; k < tiles; ++k) most = larger_finite(larger_finite(most, pair(k).low), pair(k).high);
  const Scale scale(largest(most));
  for (int64_t k = 0; k < tiles; ++k) put_pairs<P, kCount>(pair(k).low * scale.there, pair(k).high * scale.there, row + k * kCount * kTile);
  scales_at(row_tile + tiles * kCount * kTile)[r % 16] = scale.back;
}
inline void copy_left(const float* a, int64_t a_step, int64_t blocks, int64_t rows, BFloat16* to) {
  constexpr int64_t kStep = kParts * kTile;
  const int64_t tiles = tiles_of(blocks), row_tile = row_tile_size(tiles, kStep);
  for (int64_t first = 0; first < rows; first += kMostRows, a += kMostRows * 16, to += kMostRows / 16 * row_tile) {
    const int64_t count = std::min<int64_t>(rows - first, kMostRows);
    const auto pair = [&](int64_t k, int64_t r) __attribute__((always_inline)) {
      const float* at = a + 2 * k * a_step + r * 16;
      return Pair{load_aligned(at), 2 * k + 1 < blocks ? load_aligned(at + a_step) : Vec<float>{}};
    };
    U32 most[kMostRows];
    for (int64_t k = 0; k < tiles; ++k)
      for (int64_t r = 0; r < count; ++r) {
        const auto [low, high] = pair(k, r);
        if constexpr (kScales > 0) most[r] = larger(larger(k ? most[r] : U32{}, low), high);
        put_pairs<Parts<(kScales > 0)>, kParts>(low, high, to + r / 16 * row_tile + k * kStep + r % 16 * 32);
      }
    if constexpr (kScales > 0)
      for (int64_t r = 0; r < count; ++r) {
        scales_at(to + r / 16 * row_tile + tiles * kStep)[r % 16] = 1;
        if (tiles && !all_well(most[r])) scaled_row<Parts<>, kParts>([&](int64_t k) { return pair(k, r); }, tiles, to, r);
      }
  }
}

// A left operand that is stored values, of as many parts as those of a right one, is packed as tiles read it, no more of its depth
// at a time than one part. Rows r to r + count, of one row tile:
inline int64_t packed_parts(int64_t columns) { return depth_parts(0, 0, blocks_of<float>(columns)); }
template <class A>
int64_t packed_size(int64_t rows, int64_t columns) {
  return pieces(rows, 16) * row_tile_size(tiles_of(std::min(blocks_of<float>(columns), kPartBlocks)), kRightTile);
}
inline void pack_left(const Right* const* row, int64_t count, int64_t columns, BFloat16* to, int64_t r, int64_t) {
  const int64_t tiles = pieces(columns, 32);
  const auto pair = [&](int64_t k, int64_t n) __attribute__((always_inline)) {
    const Right* at = row[n] + k * 32;
    const int64_t left = columns - k * 32;
    if (left >= 32) return Pair{load(at, 16), load(at + 16, 16)};
    return Pair{load(at, int(std::min<int64_t>(left, 16))), left > 16 ? load(at + 16, int(left - 16)) : Vec<float>{}};
  };
  BFloat16* row_tile = to + r / 16 * row_tile_size(tiles, kRightTile);
  U32 most[16];
  for (int64_t k = 0; k < tiles; ++k)
    for (int64_t n = 0; n < count; ++n) {
      const auto [low, high] = pair(k, n);
      if constexpr (kScales > 0) most[n] = larger(larger(k ? most[n] : U32{}, low), high);
      put_pairs<RightParts<true>, kRightParts>(low, high, row_tile + k * kRightTile + (r + n) % 16 * 32);
    }
  if constexpr (kScales > 0)
    for (int64_t n = 0; n < count; ++n) {
      scales_at(row_tile + tiles * kRightTile)[(r + n) % 16] = 1;
      if (tiles && !all_well(most[n])) scaled_row<RightParts<false>, kRightParts>([&](int64_t k) { return pair(k, n); }, tiles, to, r + n);
    }
}

// A left operand: blocked floats, copied as they are wanted, or what pack_left wrote.
template <class A>
struct Left {
  const A* at = nullptr;
  int64_t step = 0;
  const BFloat16* packed = nullptr;

  // `count` rows from `first`, a multiple of 16, on, of as much depth from column block `block` on.
  LeftTiles part(int64_t first, int64_t count, int64_t block, const Depth& depth, BFloat16* scratch) const {
    const int64_t tiles = tiles_of(depth.blocks());
    if (packed) return {packed + first / 16 * row_tile_size(tiles, kRightTile), kRightTile, tiles};
    copy_left(at + block * step + first * 16, step, depth.blocks(), count, scratch);
    return {scratch, kParts * kTile, tiles};
  }
};
template <class A>
Left<A> packed_left(const BFloat16* at, int64_t) {
  return {.packed = at};
}

// Elements of one column block of a packed right operand: [depth][part][pair][lane][2].
template <class A>
int64_t right_size(int64_t depth_blocks) {
  return tiles_of(depth_blocks) * kRightTile;
}

// These two as in blocked.h: the right operands of x W^T and h W^T, and of dz W.
inline void pack_transposed(const Right* w, int64_t units, int64_t depth, int64_t block, BFloat16* to) {
  const int64_t ub = blocks_of<float>(units), gate = block / ub, u = block % ub;
  const int lanes = lanes_in<float>(u, units);
  w += (gate * units + u * 16) * depth;
  for (int64_t k = 0; k < depth; k += 32, to += kRightTile) {
    const int count = int(std::min<int64_t>(depth - k, 32)), first = std::min(count, 16);
    Words rows[kRightParts][16] = {};
    for (int lane = 0; lane < lanes; ++lane) {
      const Right* at = w + lane * depth + k;
      const RightParts<false> left(load(at, first)), right(load(at + first, count - first));
      for (int q = 0; q < kRightParts; ++q) rows[q][lane] = paired(left.part[q], right.part[q]);
    }
    for (auto& part : rows) transpose(part);
    std::memcpy(to, rows, sizeof(rows));
  }
}

template <class GateOf>
void pack_straight(const Right* w, int planes, GateOf gate_of, int64_t units, int64_t columns, int64_t block, BFloat16* to) {
  const int64_t padded = blocks_of<float>(units) * 16, depth = tiles_of(planes * padded / 16);
  const int lanes = lanes_in<float>(block, columns);
  const auto row = [&](int64_t k) {
    const int64_t plane = k / padded, u = k % padded;
    return plane < planes && u < units ? load(w + (gate_of(int(plane)) * units + u) * columns + block * 16, lanes) : Vec<float>{};
  };
  for (int64_t k = 0; k < depth; ++k, to += kRightTile)
    for (int pair = 0; pair < kPairs; ++pair)
      put_pairs<RightParts<false>, kRightParts>(row(32 * k + pair), row(32 * k + 16 + pair), to + pair * 32);
}

constexpr int64_t kSharing = kMostRows / 16;  // row tiles that take what they read of B in turns
constexpr int64_t kTogether = 32;             // column blocks of B, of all products with one A, that are packed at a time
inline int64_t transposed_size(int64_t rows, int64_t first_blocks, int64_t second_blocks) {
  const int64_t depth = pieces(rows, 32), both = first_blocks + second_blocks;
  return kSharing * row_tile_size(depth, kParts * kTile) +
         (both > kTogether ? std::max(first_blocks, second_blocks) : both) * depth * kRightTile;
}

// Packs blocked matrices for their product over `rows` rows. kPlain: values are finite, their scale 1.
struct RowsToTiles {
  int64_t rows, depth = pieces(rows, 32);

  SEQGRAD_HD Pair pair(const float* block, int64_t k, int i) const {
    const int64_t low = 32 * k + i, high = low + 16;
    return {low < rows ? load_aligned(block + low * 16) : Vec<float>{}, high < rows ? load_aligned(block + high * 16) : Vec<float>{}};
  }
  U32 finite(const float* block, U32 most) const {
    for (int64_t r = 0; r < rows; ++r) most = larger_finite(most, load_aligned(block + r * 16));
    return most;
  }
  // Column blocks of B: [block][depth][part][pair][lane][2].
  template <bool kPlain>
  U32 right(const float* b, int64_t b_step, int64_t blocks, float there, BFloat16* to) const {
    U32 most{};
    for (int64_t j = 0; j < blocks; ++j, b += b_step)
      for (int64_t k = 0; k < depth; ++k, to += kRightTile)
        for (int i = 0; i < kPairs; ++i) {
          const auto [low, high] = pair(b, k, i);
          if constexpr (kPlain) most = larger(larger(most, low), high);
          put_pairs<RightParts<kPlain>, kRightParts>(kPlain ? low : low * there, kPlain ? high : high * there, to + i * 32);
        }
    return most;
  }
  Scale right(const float* b, int64_t b_step, int64_t blocks, BFloat16* to) const {
    Scale scale;
    if (kScales && all_well(right<true>(b, b_step, blocks, 1, to))) return scale;
    U32 most{};
    for (int64_t j = 0; kScales && j < blocks; ++j) most = finite(b + j * b_step, most);
    if (kScales) scale = Scale(largest(most));
    right<false>(b, b_step, blocks, scale.there, to);
    return scale;
  }
  // One column block of A, as row tile of A^T.
  template <bool kPlain>
  U32 left(const float* a, Vec<float> there, BFloat16* to) const {
    U32 most{};
    for (int64_t k = 0; k < depth; ++k, to += kParts * kTile) {
      Words low[16], high[16];
      for (int i = 0; i < 16; ++i) {
        const auto [l, h] = pair(a, k, i);
        if constexpr (kPlain) most = larger(larger(most, l), h);
        low[i] = bit_cast<Words>(kPlain ? l : l * there), high[i] = bit_cast<Words>(kPlain ? h : h * there);
      }
      transpose(low), transpose(high);
      for (int i = 0; i < 16; ++i)
        put_pairs<Parts<kPlain>, kParts>(bit_cast<Vec<float>>(low[i]), bit_cast<Vec<float>>(high[i]), to + i * 32);
    }
    return most;
  }
  void left(const float* a, BFloat16* to, Vec<float>& back) const {
    back = splat(1.0f);
    Vec<float> there = back;
    if (kScales && all_well(left<true>(a, there, to))) return;
    const U32 most = kScales ? finite(a, U32{}) : U32{};
    for (int lane = 0; kScales && lane < 16; ++lane) {
      const Scale scale(most[lane]);
      there[lane] = scale.there, back[lane] = scale.back;
    }
    left<false>(a, there, to);
  }
};

// As in gemm.h. For bfloat16 storage B is of it.
template <class A>
void multiply_transposed(const A* a, int64_t step, int64_t groups, int64_t units, std::span<const Gradient<A>> gradients, int64_t rows,
                         BFloat16* scratch) {
  int64_t blocks = 0, begin = std::numeric_limits<int64_t>::max(), end = 0;
  const int64_t ub = blocks_of<A>(units), c_step = groups * ub * 256;
  for (const auto& g : gradients) blocks += g.b_blocks, begin = std::min(begin, g.plane * ub), end = std::max(end, (g.plane + groups) * ub);
  if (blocks > kTogether && gradients.size() > 1) {
    for (const auto& g : gradients) multiply_transposed<A>(a, step, groups, units, {&g, 1}, rows, scratch);
    return;
  }
  const RowsToTiles pack{rows};
  const int64_t left_step = kParts * kTile, row_tile = row_tile_size(pack.depth, left_step), right_step = pack.depth * kRightTile;
  BFloat16 *left = scratch, *right = scratch + kSharing * row_tile;
  Scale scales[2];
  BFloat16* to = right;
  for (size_t n = 0; n < gradients.size(); to += gradients[n++].b_blocks * right_step)
    scales[n] = pack.right(gradients[n].b, step, gradients[n].b_blocks, to);
  for (int64_t i = begin; i < end; i += kSharing) {
    const int64_t count = std::min(kSharing, end - i);
    Vec<A> back[kSharing];
    for (int64_t n = 0; n < count; ++n) pack.left(a + (i + n) * step, left + n * row_tile, back[n]);
    const BFloat16* from = right;
    for (size_t m = 0; m < gradients.size(); from += gradients[m++].b_blocks * right_step) {
      const auto& g = gradients[m];
      const int64_t first = std::max(i, g.plane * ub), next = std::min(i + count, (g.plane + groups) * ub);
      if (first >= next) continue;
      for (int64_t n = first - i; kScales && n < next - i; ++n)
        store_aligned(scales_at(left + (n + 1) * row_tile - kScales), back[n] * scales[m].back);
      const BFloat16* tiles = left + (first - i) * row_tile;
      for (int64_t j = 0, width = panel_of(16 * (next - first), g.b_blocks); j < g.b_blocks; j += width) {
        A* sum = g.c + j * c_step + (first - g.plane * ub) * 256;
        run_tile<A>(int(16 * (next - first)), int(std::min(width, g.b_blocks - j)),
                    {tiles, left_step, from + j * right_step, right_step, sum, c_step, {1, 2 * pack.depth, 0}, {sum, c_step, 16}});
      }
    }
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
