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

using Words = U32;  // 16 pairs of bfloat16, the first of a pair in the low half

// rows[i][j] and rows[j][i] change places.
SEQGRAD_HD void transpose(Words (&rows)[16]) {
  for (int half = 1; half < 16; half *= 2) {
    Words low, high;
    for (int i = 0; i < 16; ++i) low[i] = i & half ? 16 + i - half : i, high[i] = i & half ? 16 + i : i + half;
    for (int i = 0; i < 16; ++i) {
      if (i & half) continue;
      const __m512i a = bit_cast<__m512i>(rows[i]), b = bit_cast<__m512i>(rows[i + half]);
      rows[i] = bit_cast<Words>(_mm512_permutex2var_epi32(a, bit_cast<__m512i>(low), b));
      rows[i + half] = bit_cast<Words>(_mm512_permutex2var_epi32(a, bit_cast<__m512i>(high), b));
    }
  }
}

// A float as the sum of bfloat16, each in the upper half of its word.
struct Parts {
  U32 part[kParts];
  explicit SEQGRAD_HD Parts(Vec<float> v) {
#if SEQGRAD_AMX_FLOAT
    // Rounded, so that what products leave out is of either sign; nothing is left over. What is infinite or not a number is
    // the third part alone, which but one part of the other factor meets: with more of them infinity would become NaN.
    const U32 first = (bit_cast<U32>(v) + 0x8000u) & 0xffff0000u;
    const auto special = (first & 0x7f800000u) == 0x7f800000u;
    const Vec<float> rest = v - bit_cast<Vec<float>>(first);
    const U32 second = (bit_cast<U32>(rest) + 0x8000u) & 0xffff0000u;
    part[0] = special ? U32{} : first, part[1] = special ? U32{} : second;
    part[2] = special ? bit_cast<U32>(v) : bit_cast<U32>(rest - bit_cast<Vec<float>>(second));
#else
    part[0] = bit_cast<U32>(v) & 0xffff0000u;
    const Vec<float> rest = v - bit_cast<Vec<float>>(part[0]);
    part[1] = bit_cast<U32>(rest == rest ? rest : Vec<float>{}) + 0x8000u;  // of infinity nothing is left
#endif
  }
};
// An element of a right operand, likewise, and what it is stored as.
#if SEQGRAD_AMX_FLOAT
using Right = float;
using RightParts = Parts;
#else
using Right = BFloat16;
struct RightParts {
  U32 part[1];
  explicit SEQGRAD_HD RightParts(Vec<float> v) : part{bit_cast<U32>(v)} {}
};
#endif

// The upper halves of two vectors, one after the other.
SEQGRAD_HD Words in_a_row(U32 left, U32 right) {
  typedef uint16_t Halves __attribute__((vector_size(64)));
  Halves odd;
  for (int i = 0; i < 32; ++i) odd[i] = uint16_t(2 * i + 1);
  return bit_cast<Words>(_mm512_permutex2var_epi16(bit_cast<__m512i>(left), bit_cast<__m512i>(odd), bit_cast<__m512i>(right)));
}
// A tile's depth of a matrix, given by its rows, in pairs of them side by side: [part][pair].
template <class P, int kCount, class Row>
SEQGRAD_HD void pair_rows(Row row, Words (&to)[kCount][16]) {
  for (int pair = 0; pair < kPairs; ++pair) {
    const P even(row(2 * pair)), odd(row(2 * pair + 1));
    for (int q = 0; q < kCount; ++q) to[q][pair] = even.part[q] >> 16 | (odd.part[q] & 0xffff0000u);
  }
}

// The power of two that takes a magnitude, given by its bits, to about 1, and the one that takes it back; 1 where all is well.
struct Scale {
  float there = 1, back = 1;
  Scale() = default;
  explicit Scale(uint32_t bits) {
    const int exponent = int(bits >> 23) - 127, there_to = std::abs(exponent) <= 60 ? 0 : std::clamp(-exponent, -126, 126);
    there = power(there_to), back = power(-there_to);
  }
  static float power(int exponent) { return bit_cast<float>(uint32_t(exponent + 127) << 23); }
};
// The larger magnitudes, of what is finite.
SEQGRAD_HD U32 larger(U32 most, Vec<float> v) {
  const U32 bits = bit_cast<U32>(v) & 0x7fffffffu;
  return bits > most && bits < 0x7f800000u ? bits : most;
}
SEQGRAD_HD uint32_t largest(U32 v) {
  for (int half = 8; half; half /= 2) {
    U32 other;
    for (int i = 0; i < 16; ++i) other[i] = i ^ half;
    const U32 moved = bit_cast<U32>(_mm512_permutex2var_epi32(bit_cast<__m512i>(v), bit_cast<__m512i>(other), bit_cast<__m512i>(v)));
    v = v > moved ? v : moved;
  }
  return v[0];
}
inline float* scales_at(BFloat16* end_of_tiles) { return reinterpret_cast<float*>(end_of_tiles); }

// The left operand of a product, copied into tiles [16 rows][depth][part], behind each the scales of its rows.
struct Left {
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
inline int64_t depth_parts(int64_t, int64_t, int64_t blocks) { return pieces(blocks, kPartBlocks); }
constexpr int64_t kTileBlocks = 2;
template <class A> int64_t right_at(int64_t depth_block) { return depth_block / 2 * kRightTile; }

template <int kCount>  // parts
void copy_left(const float* a, int64_t a_step, int64_t blocks, int64_t rows, BFloat16* to) {
  const int64_t depth = tiles_of(blocks);
  for (int64_t first = 0; first < rows; first += 16, a += 16 * 16, to += row_tile_size(depth, kCount * kTile)) {
    const int64_t count = std::min<int64_t>(rows - first, 16);
    Scale scale[16];
    for (int64_t r = 0; kScales && r < count; ++r) {
      U32 most{};
      for (int64_t b = 0; b < blocks; ++b) most = larger(most, load_aligned(a + b * a_step + r * 16));
      scale[r] = Scale(largest(most)), scales_at(to + depth * kCount * kTile)[r] = scale[r].back;
    }
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t r = 0; r < count; ++r) {
        const float* at = a + 2 * k * a_step + r * 16;
        BFloat16* row = to + k * kCount * kTile + r * 32;
        const Vec<float> left = load_aligned(at), right = 2 * k + 1 < blocks ? load_aligned(at + a_step) : Vec<float>{};
        Words words[kCount];
        if constexpr (kCount == 1) words[0] = in_a_row(bit_cast<U32>(left), bit_cast<U32>(right));
        else {
          const Parts l(kScales ? left * scale[r].there : left), m(kScales ? right * scale[r].there : right);
          for (int q = 0; q < kCount; ++q) words[q] = in_a_row(l.part[q], m.part[q]);
        }
        for (int q = 0; q < kCount; ++q) std::memcpy(row + q * kTile, &words[q], sizeof(Words));
      }
  }
}

inline Left left_of(const float* a, int64_t a_step, const Depth& depth, int64_t rows, bool exact, BFloat16* to) {
  const int64_t blocks = depth.blocks();
  const bool one = exact && kRightParts == 1;  // is all there is
  one ? copy_left<1>(a, a_step, blocks, rows, to) : copy_left<kParts>(a, a_step, blocks, rows, to);
  return {to, one ? kTile : kParts * kTile, tiles_of(blocks)};
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
      const RightParts left(load(at, first)), right(load(at + first, count - first));
      for (int q = 0; q < kRightParts; ++q) rows[q][lane] = in_a_row(left.part[q], right.part[q]);
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
  for (int64_t k = 0; k < depth; ++k, to += kRightTile) {
    Words words[kRightParts][16];
    pair_rows<RightParts>([&](int r) { return row(32 * k + r); }, words);
    std::memcpy(to, words, sizeof(words));
  }
}

constexpr int64_t kSharing = kMostRows / 16;  // row tiles that take what they read of B in turns
inline int64_t transposed_size(int64_t rows, int64_t b_blocks) {
  const int64_t depth = pieces(rows, 32);
  return kSharing * row_tile_size(depth, kParts * kTile) + b_blocks * depth * kRightTile;
}

// C [groups of padded units, b_blocks] += A^T B over `rows` rows; A has `groups` (gates) of `units` columns, each padded. For
// bfloat16 storage B is of it.
template <class A>
void multiply_transposed(const A* a, int64_t a_step, int64_t groups, int64_t units, const A* b, int64_t b_step, int64_t b_blocks, A* c,
                         int64_t rows, BFloat16* scratch) {
  const int64_t a_blocks = groups * blocks_of<A>(units), c_step = a_blocks * 256, depth = pieces(rows, 32);
  const int64_t left_step = kParts * kTile, row_tile = row_tile_size(depth, left_step), right_step = depth * kRightTile;
  BFloat16 *left = scratch, *right = scratch + kSharing * row_tile;
  const auto row = [&](const A* m, int64_t r) { return r < rows ? load_aligned(m + r * 16) : Vec<A>{}; };
  const auto most_of = [&](const A* m, U32 most) {
    for (int64_t r = 0; kScales && r < rows; ++r) most = larger(most, load_aligned(m + r * 16));
    return most;
  };
  U32 most{};
  for (int64_t j = 0; j < b_blocks; ++j) most = most_of(b + j * b_step, most);
  const Scale b_scale = kScales ? Scale(largest(most)) : Scale{};
  for (int64_t j = 0; j < b_blocks; ++j)
    for (int64_t k = 0; k < depth; ++k) {
      Words words[kRightParts][16];
      pair_rows<RightParts>([&](int r) { return row(b + j * b_step, 32 * k + r) * b_scale.there; }, words);
      std::memcpy(right + j * right_step + k * kRightTile, words, sizeof(words));
    }
  for (int64_t i = 0; i < a_blocks; i += kSharing) {
    const int64_t count = std::min(kSharing, a_blocks - i);
    for (int64_t n = 0; n < count; ++n) {
      const A* block = a + (i + n) * a_step;
      BFloat16* to = left + n * row_tile;
      const U32 column = most_of(block, U32{});
      Vec<A> there = splat<A>(1);
      for (int lane = 0; kScales && lane < 16; ++lane) {
        const Scale scale(column[lane]);
        there[lane] = scale.there, scales_at(to + depth * left_step)[lane] = scale.back * b_scale.back;
      }
      for (int64_t k = 0; k < depth; ++k, to += left_step) {
        Words words[kParts][16];
        pair_rows<Parts>([&](int r) { return row(block, 32 * k + r) * there; }, words);
        for (auto& part : words) transpose(part);
        std::memcpy(to, words, sizeof(words));
      }
    }
    for (int64_t j = 0, width = panel_of(16 * count, b_blocks); j < b_blocks; j += width) {
      A* sum = c + j * c_step + i * 256;
      run_tile<A>(int(16 * count), int(std::min(width, b_blocks - j)),
                  {left, left_step, right + j * right_step, right_step, sum, c_step, {1, 2 * depth, 0}, {sum, c_step, 16}});
    }
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
