// Floats as sums of bfloat16, in the order in which AMX's tiles take them (amx.h says how many), and the scales that keep every
// part of them a normal number.

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
template <bool kFinite = false>
struct Parts {
  U32 part[kParts];
  explicit SEQGRAD_HD Parts(Vec<float> v) {
#if SEQGRAD_AMX_FLOAT
    // Rounded, so that what products leave out is of either sign; nothing is left over. What is infinite or not a number is
    // the third part alone, which but one part of the other factor meets: with more of them infinity would become NaN.
    const U32 first = (bit_cast<U32>(v) + 0x8000u) & 0xffff0000u;
    const Vec<float> rest = v - bit_cast<Vec<float>>(first);
    const U32 second = (bit_cast<U32>(rest) + 0x8000u) & 0xffff0000u;
    part[0] = first, part[1] = second, part[2] = bit_cast<U32>(rest - bit_cast<Vec<float>>(second));
    if constexpr (!kFinite) {
      const auto special = (first & 0x7f800000u) == 0x7f800000u;
      part[0] = special ? U32{} : first, part[1] = special ? U32{} : second, part[2] = special ? bit_cast<U32>(v) : part[2];
    }
#else
    part[0] = bit_cast<U32>(v) & 0xffff0000u;
    const Vec<float> rest = v - bit_cast<Vec<float>>(part[0]);
    part[1] = bit_cast<U32>(kFinite || rest == rest ? rest : Vec<float>{}) + 0x8000u;  // of infinity nothing is left
#endif
  }
};
// An element of a right operand, likewise, and what it is stored as.
#if SEQGRAD_AMX_FLOAT
using Right = float;
template <bool kFinite> using RightParts = Parts<kFinite>;
#else
using Right = BFloat16;
template <bool>
struct RightParts {
  U32 part[1];
  explicit SEQGRAD_HD RightParts(Vec<float> v) : part{bit_cast<U32>(v)} {}
};
#endif

// The upper halves of two vectors in pairs. So a tile takes a depth of 32 as 16 pairs of what is 16 apart.
SEQGRAD_HD Words paired(U32 low, U32 high) {
  return low >> 16 | (high & 0xffff0000u);
}
template <class P, int kCount>
SEQGRAD_HD void put_pairs(Vec<float> low, Vec<float> high, BFloat16* to) {  // one row of the tiles of all parts
  const P l(low), h(high);
  for (int q = 0; q < kCount; ++q) {
    const Words words = paired(l.part[q], h.part[q]);
    std::memcpy(to + q * kTile, &words, sizeof(words));
  }
}

// The power of two that takes a magnitude, given by its bits, to about 1, and the one that takes it back; 1 where all is well.
struct Scale {
  float there = 1, back = 1;
  Scale() = default;
  explicit Scale(uint32_t bits) {
    const int exponent = int(bits >> 23) - 127, there_to = !bits || std::abs(exponent) <= kFar ? 0 : std::clamp(-exponent, -126, 126);
    there = power(there_to), back = power(-there_to);
  }
  static constexpr int kFar = 60;
  static float power(int exponent) { return bit_cast<float>(uint32_t(exponent + 127) << 23); }
};
// The larger magnitudes, by their bits; of what is finite. (Not _mm512_max_epu32: gcc 12 warns of what that leaves undefined.)
SEQGRAD_HD U32 larger(U32 a, U32 b) {
  return bit_cast<U32>(_mm512_maskz_max_epu32(0xffff, bit_cast<__m512i>(a), bit_cast<__m512i>(b)));
}
SEQGRAD_HD U32 larger(U32 most, Vec<float> v) { return larger(most, bit_cast<U32>(v) & 0x7fffffffu); }
SEQGRAD_HD U32 larger_finite(U32 most, Vec<float> v) {
  const U32 bits = bit_cast<U32>(v) & 0x7fffffffu;
  return larger(most, bits < 0x7f800000u ? bits : U32{});
}
SEQGRAD_HD uint32_t largest(U32 v) {
  for (int half = 8; half; half /= 2) {
    U32 other;
    for (int i = 0; i < 16; ++i) other[i] = i ^ half;
    v = larger(v, bit_cast<U32>(_mm512_permutex2var_epi32(bit_cast<__m512i>(v), bit_cast<__m512i>(other), bit_cast<__m512i>(v))));
  }
  return v[0];
}
// Whether what has these largest magnitudes is finite and asks for no scale.
SEQGRAD_HD bool all_well(U32 most) {
  constexpr uint32_t least = uint32_t(127 - Scale::kFar) << 23, beyond = uint32_t(128 + Scale::kFar) << 23;
  return _mm512_cmplt_epu32_mask(bit_cast<__m512i>(most - least), _mm512_set1_epi32(int(beyond - least))) ==
         _mm512_test_epi32_mask(bit_cast<__m512i>(most), bit_cast<__m512i>(most));
}
inline float* scales_at(BFloat16* end_of_tiles) { return reinterpret_cast<float*>(end_of_tiles); }

}  // namespace seqgrad::cpu::SEQGRAD_ISA
