// Products on AMX's tiles, for bfloat16 storage: one instruction adds 16 x 32 by 32 x 16 bfloat16 to 16 x 16 floats, at
// sixteen times the rate of AVX-512's float32.
//
// Weights and inputs are bfloat16 as they come. State and gradients are float, and each is multiplied in two parts: one
// bfloat16 alone, as is usual, would lose 2^-8 of every term; what two lose is 2^-16. What tiles cannot do: a denormal counts
// as zero, and an infinite weight gives NaN.

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

// A float as the sum of two bfloat16, each in the upper half: what it is without its lower half, and that, rounded.
struct Parts {
  U32 first, second;
  explicit SEQGRAD_HD Parts(Vec<float> v) : first(bit_cast<U32>(v) & 0xffff0000u) {
    const Vec<float> rest = v - bit_cast<Vec<float>>(first);
    second = bit_cast<U32>(rest == rest ? rest : Vec<float>{}) + 0x8000u;  // of infinity nothing is left
  }
};
// The upper halves of two vectors: one after the other, or side by side.
SEQGRAD_HD void store_row(U32 left, U32 right, BFloat16* to) {
  typedef uint16_t Halves __attribute__((vector_size(64)));
  Halves odd;
  for (int i = 0; i < 32; ++i) odd[i] = uint16_t(2 * i + 1);
  const __m512i row = _mm512_permutex2var_epi16(bit_cast<__m512i>(left), bit_cast<__m512i>(odd), bit_cast<__m512i>(right));
  std::memcpy(to, &row, sizeof(row));
}
SEQGRAD_HD Words pairs(U32 even, U32 odd) { return even >> 16 | (odd & 0xffff0000u); }

// The left operand of a product, copied into tiles [16 rows][depth][both parts].
struct Left {
  const BFloat16* at;
  int64_t step, depth;  // elements, tiles
  const BFloat16* row(int64_t r) const { return at + r / 16 * depth * step; }
};
constexpr int64_t kLeftBytes = int64_t(1) << 20;  // copied at a time: it, and a panel of B, are to stay near
inline int64_t left_rows(int64_t depth_blocks) {
  const int64_t rows = kLeftBytes / (std::max<int64_t>(1, tiles_of(depth_blocks)) * 2 * kTile * int64_t(sizeof(BFloat16)) / 16);
  return std::max<int64_t>(kMostRows, rows / kMostRows * kMostRows);
}
constexpr int64_t kLeftNear = std::numeric_limits<int64_t>::max();  // the whole depth at once: left_rows sees to it
inline int64_t left_size(int64_t rows, int64_t depth_blocks) { return pieces(rows, 16) * tiles_of(depth_blocks) * 2 * kTile; }

template <bool kExact>
void copy_left(const float* a, int64_t a_step, int64_t blocks, int64_t rows, BFloat16* to) {
  constexpr int64_t kStep = kExact ? kTile : 2 * kTile;
  const int64_t depth = tiles_of(blocks);
  for (int64_t k = 0; k < depth; ++k, a += 2 * a_step)
    for (int64_t r = 0; r < rows; ++r) {
      BFloat16* row = to + (r / 16 * depth + k) * kStep + r % 16 * 32;
      const Vec<float> v[2] = {load_aligned(a + r * 16), 2 * k + 1 < blocks ? load_aligned(a + a_step + r * 16) : Vec<float>{}};
      if constexpr (kExact) store_row(bit_cast<U32>(v[0]), bit_cast<U32>(v[1]), row);
      else {
        const Parts left(v[0]), right(v[1]);
        store_row(left.first, right.first, row), store_row(left.second, right.second, row + kTile);
      }
    }
}

inline Left left_of(const float* a, int64_t a_step, const Depth& depth, int64_t rows, bool exact, BFloat16* to) {
  const int64_t blocks = depth.blocks();
  exact ? copy_left<true>(a, a_step, blocks, rows, to) : copy_left<false>(a, a_step, blocks, rows, to);
  return {to, exact ? kTile : 2 * kTile, tiles_of(blocks)};
}

// Elements of one column block of a packed right operand: [pair of depth][lane][2].
template <class A>
int64_t right_size(int64_t depth_blocks) {
  return tiles_of(depth_blocks) * kTile;
}

// These two as in blocked.h: the right operands of x W^T and h W^T, and of dz W.
inline void pack_transposed(const BFloat16* w, int64_t units, int64_t depth, int64_t block, BFloat16* to) {
  const int64_t ub = blocks_of<float>(units), gate = block / ub, u = block % ub;
  const int lanes = lanes_in<float>(u, units);
  w += (gate * units + u * 16) * depth;
  for (int64_t k = 0; k < depth; k += 32, to += kTile) {
    Words rows[16] = {};
    const uint32_t mask = depth - k < 32 ? (1u << (depth - k)) - 1 : ~0u;
    for (int lane = 0; lane < lanes; ++lane) rows[lane] = bit_cast<Words>(_mm512_maskz_loadu_epi16(mask, w + lane * depth + k));
    transpose(rows);
    std::memcpy(to, rows, sizeof(rows));
  }
}

template <class GateOf>
void pack_straight(const BFloat16* w, int planes, GateOf gate_of, int64_t units, int64_t columns, int64_t block, BFloat16* to) {
  const int64_t padded = blocks_of<float>(units) * 16, depth = right_size<float>(planes * padded / 16) / 16;
  const int lanes = lanes_in<float>(block, columns);
  const auto row = [&](int64_t k) {
    const int64_t plane = k / padded, u = k % padded;
    return plane < planes && u < units ? bit_cast<U32>(load(w + (gate_of(int(plane)) * units + u) * columns + block * 16, lanes)) : U32{};
  };
  for (int64_t k = 0; k < depth; k += 2, to += 32) {
    const Words words = pairs(row(k), row(k + 1));
    std::memcpy(to, &words, sizeof(words));
  }
}

inline int64_t transposed_size(int64_t rows, int64_t b_blocks) { return pieces(rows, 32) * (b_blocks + 2) * kTile; }

// C [groups of padded units, b_blocks] += A^T B over `rows` rows; A has `groups` (gates) of `units` columns, each padded. B is
// bfloat16 as it is.
template <class A>
void multiply_transposed(const A* a, int64_t a_step, int64_t groups, int64_t units, const A* b, int64_t b_step, int64_t b_blocks, A* c,
                         int64_t rows, BFloat16* scratch) {
  const int64_t a_blocks = groups * blocks_of<A>(units), c_step = a_blocks * 256, depth = pieces(rows, 32);
  BFloat16 *left = scratch, *right = scratch + 2 * depth * kTile;
  const auto row = [&](const A* m, int64_t r) { return r < rows ? load_aligned(m + r * 16) : Vec<A>{}; };
  for (int64_t j = 0; j < b_blocks; ++j)
    for (int64_t r = 0; r < 32 * depth; r += 2) {
      const Words words = pairs(bit_cast<U32>(row(b + j * b_step, r)), bit_cast<U32>(row(b + j * b_step, r + 1)));
      std::memcpy(right + j * depth * kTile + r * 16, &words, sizeof(words));
    }
  for (int64_t i = 0; i < a_blocks; ++i) {
    for (int64_t k = 0; k < depth; ++k) {
      Words part[2][16];
      for (int pair = 0; pair < kPairs; ++pair) {
        const int64_t r = 32 * k + 2 * pair;
        const Parts even(row(a + i * a_step, r)), odd(row(a + i * a_step, r + 1));
        part[0][pair] = pairs(even.first, odd.first), part[1][pair] = pairs(even.second, odd.second);
      }
      transpose(part[0]), transpose(part[1]);
      std::memcpy(left + 2 * k * kTile, part, sizeof(part));
    }
    for (int64_t j = 0; j < b_blocks; j += kMaxPanel) {
      A* sum = c + j * c_step + i * 256;
      run_tile<A>(16, int(std::min<int64_t>(kMaxPanel, b_blocks - j)),
                  {left, 2 * kTile, right + j * depth * kTile, depth * kTile, sum, c_step, {1, 2 * depth, 0}, {sum, c_step, 16}});
    }
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
