// Vectors of hidden units: types, loads and stores with ragged tails, storage conversions, tanh and sigmoid.
// GCC/Clang vector extensions, so that one source serves SSE2, AVX2, AVX-512 and NEON; no fast-math, no flushing of
// denormals: tiny gradients are the very numbers we report.

#include "../core/macros.h"

namespace seqgrad::cpu::SEQGRAD_ISA {

struct BFloat16 { uint16_t bits; };
struct Half { uint16_t bits; };

template <class A> struct Simd;

template <> struct Simd<float> {
  static constexpr int kLanes = SEQGRAD_VECTOR_BYTES / 4;
  typedef float V __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef int32_t I __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef uint32_t U __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef uint16_t Bits16 __attribute__((vector_size(SEQGRAD_VECTOR_BYTES / 2)));
  using Int = int32_t;
  static constexpr int kMantissaBits = 23, kBias = 127;
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  static constexpr float kTanhOne = 22.0f;                             // |x| beyond this: tanh is exactly 1
  static constexpr float kSigmoidZero = -104.0f, kSigmoidOne = 40.0f;  // x beyond these: sigmoid is exactly 0, 1
  // (exp(r) - 1 - r) / r^2 on |r| <= ln2/2, lowest power first; within 1.6e-8 |1/r|
  static constexpr float kExp[] = {5.0000000621e-1f, 1.6666542794e-1f, 4.1666281400e-2f, 8.3666106064e-3f, 1.3946496891e-3f};
};

template <> struct Simd<double> {
  static constexpr int kLanes = SEQGRAD_VECTOR_BYTES / 8;
  typedef double V __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef int64_t I __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef uint64_t U __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  using Int = int64_t;
  static constexpr int kMantissaBits = 52, kBias = 1023;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLn2High = 6.93145751953125e-1, kLn2Low = 1.42860682030941723212e-6;
  static constexpr double kTanhOne = 40.0;
  static constexpr double kSigmoidZero = -746.0, kSigmoidOne = 80.0;
  static constexpr double kExp[] = {1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
                                    1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
};

template <class A> using Vec = typename Simd<A>::V;
template <class A> constexpr int kLanes = Simd<A>::kLanes;

// The arithmetic type of a storage type.
template <class S> struct ArithmeticOf { using type = float; };
template <> struct ArithmeticOf<double> { using type = double; };
template <class S> using Arithmetic = typename ArithmeticOf<S>::type;

template <class To, class From>
SEQGRAD_HD To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

template <class A>
SEQGRAD_HD Vec<A> splat(A value) { return value - Vec<A>{}; }  // 0 + value is not a plain copy: of -0 it makes 0

template <class A>
SEQGRAD_HD Vec<A> load_aligned(const A* p) { return *reinterpret_cast<const Vec<A>*>(p); }
template <class A>
SEQGRAD_HD void store_aligned(A* p, Vec<A> v) { *reinterpret_cast<Vec<A>*>(p) = v; }

// Lane i is all ones if i < n.
template <class I>
SEQGRAD_HD I lane_mask(int n) {
  I lane{};
  for (int i = 0; i < int(sizeof(lane) / sizeof(lane[0])); ++i) lane[i] = i;
  return lane < I{} + n;
}

// The first n lanes from p, zero in the others. By masks where there are any: a copy of n bytes is a call, and its result then
// waits for memory. (gcc does not define __AVX512F__ after a target pragma; the vector's size says what there is.)
template <class W, class E>
SEQGRAD_HD W load_lanes(const E* p, int n) {
  W v{};
  if (n == int(sizeof(W) / sizeof(E))) __builtin_memcpy(&v, p, sizeof(W));
  else {
#if SEQGRAD_VECTOR_BYTES == 64
    const uint32_t mask = (1u << n) - 1;
    if constexpr (sizeof(E) == 2) return bit_cast<W>(_mm256_maskz_loadu_epi16(__mmask16(mask), p));
    else if constexpr (sizeof(E) == 4) return bit_cast<W>(_mm512_maskz_loadu_ps(__mmask16(mask), p));
    else return bit_cast<W>(_mm512_maskz_loadu_pd(__mmask8(mask), p));
#elif SEQGRAD_VECTOR_BYTES == 32
    if constexpr (sizeof(E) == 4) return bit_cast<W>(_mm256_maskload_ps(p, bit_cast<__m256i>(lane_mask<Simd<float>::I>(n))));
    else if constexpr (sizeof(E) == 8) return bit_cast<W>(_mm256_maskload_pd(p, bit_cast<__m256i>(lane_mask<Simd<double>::I>(n))));
    else __builtin_memcpy(&v, p, size_t(n) * sizeof(E));
#else
    __builtin_memcpy(&v, p, size_t(n) * sizeof(E));
#endif
  }
  return v;
}
template <class W, class E>
SEQGRAD_HD void store_lanes(E* p, W v, int n) {
  if (n == int(sizeof(W) / sizeof(E))) __builtin_memcpy(p, &v, sizeof(W));
  else {
#if SEQGRAD_VECTOR_BYTES == 64
    const uint32_t mask = (1u << n) - 1;
    if constexpr (sizeof(E) == 2) _mm256_mask_storeu_epi16(p, __mmask16(mask), bit_cast<__m256i>(v));
    else if constexpr (sizeof(E) == 4) _mm512_mask_storeu_ps(p, __mmask16(mask), bit_cast<__m512>(v));
    else _mm512_mask_storeu_pd(p, __mmask8(mask), bit_cast<__m512d>(v));
#elif SEQGRAD_VECTOR_BYTES == 32
    if constexpr (sizeof(E) == 4) _mm256_maskstore_ps(p, bit_cast<__m256i>(lane_mask<Simd<float>::I>(n)), bit_cast<__m256>(v));
    else if constexpr (sizeof(E) == 8) _mm256_maskstore_pd(p, bit_cast<__m256i>(lane_mask<Simd<double>::I>(n)), bit_cast<__m256d>(v));
    else __builtin_memcpy(p, &v, size_t(n) * sizeof(E));
#else
    __builtin_memcpy(p, &v, size_t(n) * sizeof(E));
#endif
  }
}

// Zero in all but the first n lanes. Infinity times a padded zero is NaN: what a product leaves beyond the real columns
// must not be fed to the next one.
template <class A>
SEQGRAD_HD Vec<A> first_lanes(Vec<A> v, int n) {
  return n == kLanes<A> ? v : lane_mask<typename Simd<A>::I>(n) ? v : Vec<A>{};
}

// The smaller, the larger of x and limit; NaN stays in x, as AVX-512's instructions hand on their second operand. (Masks of
// ones: of the forms without gcc 12 believes that they read what was never written.)
template <class A>
SEQGRAD_HD Vec<A> at_most(A limit, Vec<A> x) {
#if SEQGRAD_VECTOR_BYTES == 64
  if constexpr (sizeof(A) == 4) return bit_cast<Vec<A>>(_mm512_maskz_min_ps(0xffff, bit_cast<__m512>(splat(limit)), bit_cast<__m512>(x)));
  else return bit_cast<Vec<A>>(_mm512_maskz_min_pd(0xff, bit_cast<__m512d>(splat(limit)), bit_cast<__m512d>(x)));
#else
  return x > limit ? splat(limit) : x;
#endif
}
template <class A>
SEQGRAD_HD Vec<A> at_least(A limit, Vec<A> x) {
#if SEQGRAD_VECTOR_BYTES == 64
  if constexpr (sizeof(A) == 4) return bit_cast<Vec<A>>(_mm512_maskz_max_ps(0xffff, bit_cast<__m512>(splat(limit)), bit_cast<__m512>(x)));
  else return bit_cast<Vec<A>>(_mm512_maskz_max_pd(0xff, bit_cast<__m512d>(splat(limit)), bit_cast<__m512d>(x)));
#else
  return x < limit ? splat(limit) : x;
#endif
}

SEQGRAD_HD Vec<float> load(const float* p, int n) { return load_lanes<Vec<float>>(p, n); }
SEQGRAD_HD Vec<double> load(const double* p, int n) { return load_lanes<Vec<double>>(p, n); }
SEQGRAD_HD void store(float* p, Vec<float> v, int n) { store_lanes(p, v, n); }
SEQGRAD_HD void store(double* p, Vec<double> v, int n) { store_lanes(p, v, n); }

using U32 = Simd<float>::U;
using Bits16 = Simd<float>::Bits16;

SEQGRAD_HD Vec<float> load(const BFloat16* p, int n) {
  return bit_cast<Vec<float>>(__builtin_convertvector(load_lanes<Bits16>(&p->bits, n), U32) << 16);
}
SEQGRAD_HD void store(BFloat16* p, Vec<float> v, int n) {
  const U32 u = bit_cast<U32>(v);
  const U32 rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const U32 bits = (u & 0x7fffffffu) > 0x7f800000u ? (u >> 16) | 0x40u : rounded;  // NaN stays NaN
  store_lanes(&p->bits, __builtin_convertvector(bits, Bits16), n);
}
SEQGRAD_HD Vec<float> load(const Half* p, int n) {
  const U32 h = __builtin_convertvector(load_lanes<Bits16>(&p->bits, n), U32);
  const U32 exponent = (h & 0x7c00u) << 13;
  U32 o = ((h & 0x7fffu) << 13) + (112u << 23);
  o = exponent == (0x7c00u << 13) ? o + (112u << 23) : o;  // Inf, NaN
  const U32 denormal = bit_cast<U32>(bit_cast<Vec<float>>(o + (1u << 23)) - bit_cast<float>(113u << 23));
  o = exponent == 0u ? denormal : o;
  return bit_cast<Vec<float>>(o | ((h & 0x8000u) << 16));
}
SEQGRAD_HD void store(Half* p, Vec<float> v, int n) {  // round to nearest even
  U32 u = bit_cast<U32>(v);
  const U32 sign = u & 0x80000000u;
  u ^= sign;
  const U32 special = u > (255u << 23) ? U32{} + 0x7e00u : U32{} + 0x7c00u;
  constexpr uint32_t kMagic = (127u - 15 + 23 - 10 + 1) << 23;
  const U32 denormal = bit_cast<U32>(bit_cast<Vec<float>>(u) + bit_cast<float>(kMagic)) - kMagic;
  const U32 normal = (u - (112u << 23) + 0xfffu + ((u >> 13) & 1u)) >> 13;
  const U32 bits = u >= ((127u + 16) << 23) ? special : (u < (113u << 23) ? denormal : normal);
  store_lanes(&p->bits, __builtin_convertvector(bits | (sign >> 16), Bits16), n);
}

// A store that may go past the caches, which then fetch no line to be overwritten and keep what they hold. Where a vector is a
// line: `past` says that p is aligned to one and n all lanes. Others must not read before `stores_done`.
template <class S> constexpr bool kGoesPast = SEQGRAD_VECTOR_BYTES == 64 && sizeof(S) == sizeof(Arithmetic<S>);
template <class S>
SEQGRAD_HD void store(S* p, Vec<Arithmetic<S>> v, int n, [[maybe_unused]] bool past) {
#if SEQGRAD_VECTOR_BYTES == 64
  if constexpr (kGoesPast<S>)
    if (past) return _mm512_stream_si512(reinterpret_cast<__m512i*>(p), bit_cast<__m512i>(v));
#endif
  store(p, v, n);
}
inline void stores_done() {
#if SEQGRAD_VECTOR_BYTES == 64
  _mm_sfence();
#endif
}

// The M of csrc/cells on vectors.
template <class A>
struct Math {
  using S = Simd<A>;
  using V = Vec<A>;
  using I = typename S::I;
  using U = typename S::U;
  using Int = typename S::Int;

  SEQGRAD_HD static V constant(double value) { return splat<A>(A(value)); }

  SEQGRAD_HD static V magnitude(V x) { return bit_cast<V>(bit_cast<I>(x) & std::numeric_limits<Int>::max()); }

  // Both functions take e^y = 2^n (1 + p) apart, with |y - n ln 2| <= ln2 / 2. Adding kRound to y / ln 2 rounds it to n, and
  // leaves n in the low bits: shifted to the exponent's place they are a power of two.
  SEQGRAD_HD static V power_of_two(I biased) {
    return bit_cast<V>(biased << S::kMantissaBits);
  }

  SEQGRAD_HD static V expm1(V r) {  // |r| <= ln2 / 2; full relative precision
    const V r2 = r * r;
    constexpr int count = sizeof(S::kExp) / sizeof(A);
    V q = splat<A>(S::kExp[count - 1]);
    if constexpr (count % 2 == 0) q = q * r + S::kExp[count - 2];
#pragma GCC unroll 6
    for (int i = (count - 1) / 2 * 2 - 2; i >= 0; i -= 2) q = q * r2 + (S::kExp[i + 1] * r + S::kExp[i]);  // pairs: a short chain
    return q * r2 + r;
  }

  // m / (m + 2) with m = expm1(2|x|): never beyond 1, exact at saturation, denormals and signed zero kept.
  SEQGRAD_HD static V tanh(V x) {
    constexpr A kRound = S::kRound + S::kBias;
    const V y = at_most<A>(S::kTanhOne, magnitude(x));
    const V biased = y * A(2 * kLog2E) + kRound, n = biased - kRound;
    const V p = expm1(y + y - n * A(kLn2)), scale = power_of_two(bit_cast<I>(biased));
    const V m = scale * p + (scale - 1);
    return bit_cast<V>(bit_cast<I>(m / (m + 2)) | (bit_cast<I>(x) & std::numeric_limits<Int>::min()));
  }

  // e^x / (e^x + 1), both parts divided by 2^(n/2): no overflow, and right down to denormal results.
  SEQGRAD_HD static V sigmoid(V x) {
    constexpr A kRound = S::kRound + 2 * S::kBias;
    const V y = at_most<A>(S::kSigmoidOne, at_least<A>(S::kSigmoidZero, x));
    const V biased = y * A(kLog2E) + kRound, n = biased - kRound;
    const V p = expm1((y - n * S::kLn2High) - n * S::kLn2Low);  // far from 0 an error of n ln 2 is one of the result
    const I bits = bit_cast<I>(biased), half = bit_cast<I>(bit_cast<U>(biased) >> 1);
    const V scale = power_of_two(bits - half), one = power_of_two(2 * S::kBias - half);
    const V exp = scale * p + scale;
    return exp / (exp + one);
  }

 private:
  static constexpr double kLog2E = 1.4426950408889634074, kLn2 = 0.69314718055994530942;
};

// Sum of squares in double: an fp32 square would be zero below 3e-23 and infinite above 1.8e19.
struct SquareSum {
  typedef double D __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  D sum{};

  SEQGRAD_HD void add(Vec<double> v) { sum += v * v; }
  SEQGRAD_HD void add(Vec<float> v) {
    typedef float F __attribute__((vector_size(SEQGRAD_VECTOR_BYTES / 2)));
    F part[2];
    __builtin_memcpy(part, &v, sizeof(v));
    const D low = widened(part[0]), high = widened(part[1]);
    sum += low * low + high * high;
  }
  SEQGRAD_HD double total() const { return total(sum); }

 private:
  template <class F>
  SEQGRAD_HD static D widened(F v) {
#if SEQGRAD_VECTOR_BYTES == 64  // gcc takes five instructions for this one
    return bit_cast<D>(_mm512_maskz_cvtps_pd(0xff, bit_cast<__m256>(v)));
#else
    return __builtin_convertvector(v, D);
#endif
  }
  template <class V>
  SEQGRAD_HD static double total(V v) {  // by halves: lane after lane would wait for each addition
    if constexpr (sizeof(V) == 16) return v[0] + v[1];
    else {
      typedef double Half __attribute__((vector_size(sizeof(V) / 2)));
      Half part[2];
      __builtin_memcpy(part, &v, sizeof(v));
      return total(part[0] + part[1]);
    }
  }
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
