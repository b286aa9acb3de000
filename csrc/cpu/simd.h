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
  static constexpr float kTanhOne = 44.0f;    // 2|x| beyond this: tanh is exactly 1
  static constexpr float kExpZero = -104.0f;  // exp below this is exactly 0
  // (exp(r) - 1 - r) / r^2 on |r| <= ln2/2, highest power first
  static constexpr float kExp[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                   4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
};

template <> struct Simd<double> {
  static constexpr int kLanes = SEQGRAD_VECTOR_BYTES / 8;
  typedef double V __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  typedef int64_t I __attribute__((vector_size(SEQGRAD_VECTOR_BYTES)));
  using Int = int64_t;
  static constexpr int kMantissaBits = 52, kBias = 1023;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLn2High = 6.93145751953125e-1, kLn2Low = 1.42860682030941723212e-6;
  static constexpr double kTanhOne = 80.0;
  static constexpr double kExpZero = -746.0;
  static constexpr double kExp[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                                    1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      1.0 / 2};
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
SEQGRAD_HD Vec<A> splat(A value) { return Vec<A>{} + value; }

template <class A>
SEQGRAD_HD Vec<A> load_aligned(const A* p) { return *reinterpret_cast<const Vec<A>*>(p); }
template <class A>
SEQGRAD_HD void store_aligned(A* p, Vec<A> v) { *reinterpret_cast<Vec<A>*>(p) = v; }

// The first n lanes from p, zero in the others.
template <class W, class E>
SEQGRAD_HD W load_lanes(const E* p, int n) {
  W v{};
  if (n == int(sizeof(W) / sizeof(E))) __builtin_memcpy(&v, p, sizeof(W));
  else {
#if defined(__AVX512F__)
    if constexpr (sizeof(W) == 64 && sizeof(E) == 4) return bit_cast<W>(_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p));
    if constexpr (sizeof(W) == 64 && sizeof(E) == 8) return bit_cast<W>(_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p));
#endif
    __builtin_memcpy(&v, p, size_t(n) * sizeof(E));
  }
  return v;
}
template <class W, class E>
SEQGRAD_HD void store_lanes(E* p, W v, int n) {
  if (n == int(sizeof(W) / sizeof(E))) __builtin_memcpy(p, &v, sizeof(W));
  else {
#if defined(__AVX512F__)
    if constexpr (sizeof(W) == 64 && sizeof(E) == 4) return _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), bit_cast<__m512>(v));
    if constexpr (sizeof(W) == 64 && sizeof(E) == 8) return _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), bit_cast<__m512d>(v));
#endif
    __builtin_memcpy(p, &v, size_t(n) * sizeof(E));
  }
}

// Zero in all but the first n lanes. Infinity times a padded zero is NaN: what a product leaves beyond the real columns
// must not be fed to the next one.
template <class A>
SEQGRAD_HD Vec<A> first_lanes(Vec<A> v, int n) {
  if (n == kLanes<A>) return v;
  typename Simd<A>::I lane{};
  for (int i = 0; i < kLanes<A>; ++i) lane[i] = i;
  return lane < typename Simd<A>::Int(n) ? v : Vec<A>{};
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

// The M of csrc/cells on vectors.
template <class A>
struct Math {
  using S = Simd<A>;
  using V = Vec<A>;

  SEQGRAD_HD static V constant(double value) { return splat<A>(A(value)); }

  // exp(x) = 2^n (1 + p) with |x - n ln 2| <= ln2 / 2; p keeps full relative precision, and NaN.
  struct Reduced { V n, p; };
  SEQGRAD_HD static Reduced reduce(V x) {
    const V n = (x * A(1.4426950408889634074) + S::kRound) - S::kRound;
    const V r = (x - n * S::kLn2High) - n * S::kLn2Low;
    V q = splat<A>(S::kExp[0]);
#pragma GCC unroll 12
    for (int i = 1; i < int(sizeof(S::kExp) / sizeof(A)); ++i) q = q * r + S::kExp[i];
    return {n, r * r * q + r};
  }
  SEQGRAD_HD static V power_of_two(V n) {  // n integral and in the normal range
    const auto i = bit_cast<typename S::I>(n + (S::kRound + S::kBias));
    return bit_cast<V>(i << S::kMantissaBits);
  }
  SEQGRAD_HD static V magnitude(V x) { return bit_cast<V>(bit_cast<typename S::I>(x) & std::numeric_limits<typename S::Int>::max()); }

  // expm1(2|x|) / (expm1(2|x|) + 2): never beyond 1, exact at saturation, denormals and signed zero kept.
  SEQGRAD_HD static V tanh(V x) {
    V y = 2 * magnitude(x);
    y = y > S::kTanhOne ? splat<A>(S::kTanhOne) : y;  // this way round NaN stays
    const Reduced e = reduce(y);
    const V scale = power_of_two(e.n);
    const V m = scale * e.p + (scale - 1);
    const V t = m / (m + 2);
    const auto sign = bit_cast<typename S::I>(x) & std::numeric_limits<typename S::Int>::min();
    return bit_cast<V>(bit_cast<typename S::I>(t) | sign);
  }

  // e / (1 + e) or 1 / (1 + e) with e = exp(-|x|): no overflow, and right down to denormal results.
  SEQGRAD_HD static V sigmoid(V x) {
    V y = -magnitude(x);
    y = y < S::kExpZero ? splat<A>(S::kExpZero) : y;
    const Reduced e = reduce(y);
    const V half = (e.n * A(0.5) + S::kRound) - S::kRound;
    const V exp = (e.p + 1) * power_of_two(half) * power_of_two(e.n - half);
    return (x >= V{} ? splat<A>(1) : exp) / (exp + 1);
  }
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
    const D low = __builtin_convertvector(part[0], D), high = __builtin_convertvector(part[1], D);
    sum += low * low + high * high;
  }
  SEQGRAD_HD double total() const { return total(sum); }

 private:
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
