// The products (gemm.h, amx.h) and blocked.h against plain loops, compiled once per instruction set: included by
// test_gemm_*.cpp behind their target pragma. No include guard. Arrays have their exact size (Buffer: in 64 bytes), so that
// ASan sees a step outside.
#include "core/pages.h"
#include "cpu/simd.h"
#include "cpu/blocked.h"
#include "cpu/operands.h"
#if SEQGRAD_AMX
#include "cpu/amx_tile.h"
#include "cpu/amx_parts.h"
#include "cpu/amx.h"
#else
#include "cpu/gemm.h"
#endif
#include "cpu/product.h"
#include "cpu/memory.h"

namespace seqgrad::cpu::SEQGRAD_ISA {
namespace {

// Small whole numbers: every order of summation gives the same bits, so the products must be equal, not close.
template <class A>
std::vector<A> whole_numbers(int64_t count, unsigned seed) {
  std::vector<A> values(count);
  for (A& v : values) v = A(int((seed = seed * 1664525u + 1013904223u) >> 24) % 7 - 3);
  return values;
}

// The same as the tiles' right operands are stored, in which they are exact.
#if SEQGRAD_AMX
template <class A> using Stored = Right;
#else
template <class A> using Stored = A;
#endif
template <class A>
std::vector<Stored<A>> as_stored(const std::vector<A>& values) {
  std::vector<Stored<A>> to(values.size());
  for (size_t i = 0; i < to.size(); ++i) store(&to[i], splat<A>(values[i]), 1);
  return to;
}

// [rows, columns] in the blocked layout [block][row][L], exact size, zero in the padded columns.
template <class S, class A = Arithmetic<S>>
Buffer<A> blocked(const std::vector<S>& dense, int64_t rows, int64_t columns) {
  Buffer<A> to(blocks_of<A>(columns) * rows * kLanes<A>);
  for (int64_t r = 0; r < rows; ++r) pack_row(dense.data() + r * columns, columns, to.get() + r * kLanes<A>, rows * kLanes<A>);
  return to;
}

template <class A>
A at(const Buffer<A>& m, int64_t rows, int64_t r, int64_t c) {
  return m.get()[(c / kLanes<A> * rows + r) * kLanes<A> + c % kLanes<A>];
}

// Rows go to the blocked layout and back unchanged, padding is zero, and nothing beyond a row's end is read or written.
template <class A>
void check_rows(int64_t rows, int64_t columns) {
  const auto dense = whole_numbers<A>(rows * columns, 1);
  const Buffer<A> packed = blocked(dense, rows, columns);
  std::vector<A> back(rows * columns, A(99));
  for (int64_t r = 0; r < rows; ++r) unpack_row(packed.get() + r * kLanes<A>, rows * kLanes<A>, columns, back.data() + r * columns);
  CHECK(back == dense);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < blocks_of<A>(columns) * kLanes<A>; ++c)
      CHECK(at(packed, rows, r, c) == (c < columns ? dense[r * columns + c] : A(0)));
}

enum class From { zero, itself, row };  // what a product is added to: nothing, what C holds, or the same row for all

// `count` columns, from `column` on, of a dense matrix of stored values as a left operand.
template <class A>
void pack_rows(const std::vector<Stored<A>>& dense, int64_t rows, int64_t columns, int64_t column, int64_t count, Factor<A>* to) {
  for (int64_t first = 0; first < rows; first += kPackedRows) {
    const Stored<A>* row[kPackedRows];
    const int64_t here = std::min(rows - first, kPackedRows);
    for (int64_t i = 0; i < here; ++i) row[i] = dense.data() + (first + i) * columns + column;
    const int64_t cut = here / 3;  // as two members of a team would
    pack_left(row, cut, count, to, first, rows), pack_left(row + cut, here - cut, count, to, first + cut, rows);
  }
}

// C = start + A W^T with the weights [gates * units, depth] packed as forward packs them; A blocked or, as forward's input is, packed.
template <class A>
void check_product(int64_t rows, int gates, int64_t units, int64_t depth, From from, bool packed) {
  constexpr int L = kLanes<A>;
  const int64_t ub = blocks_of<A>(units), db = blocks_of<A>(depth);
  const int64_t b_step = right_size<A>(db);
  const auto left = whole_numbers<A>(rows * depth, 2), weights = whole_numbers<A>(gates * units * depth, 3);
  const auto w = as_stored(weights);
  const Buffer<A> a = blocked(left, rows, depth);
  Buffer<A> c(gates * ub * rows * L);
  Buffer<Factor<A>> b(gates * ub * b_step), scratch(multiply_size(rows, db));
  for (int64_t block = 0; block < gates * ub; ++block) pack_transposed(w.data(), units, depth, block, b.get() + block * b_step);
  for (int64_t i = 0; i < gates * ub * rows * L; ++i) c.get()[i] = A(5);
  const auto bias = whole_numbers<A>(gates * ub * L, 10);
  Buffer<A> row(gates * ub * L);
  std::copy(bias.begin(), bias.end(), row.get());
  const Start<A> start = from == From::zero     ? Start<A>{}
                         : from == From::itself ? Start<A>{c.get(), rows * L, L}
                                                : Start<A>{row.get(), L, 0};
  if (packed) {
    const auto stored = as_stored(left);
    Buffer<Factor<A>> tiles(packed_size<A>(rows, depth));
    const int64_t parts = packed_parts(depth);
    for (int64_t i = 0; i < parts; ++i) {
      const auto from_column = [&](int64_t part) {
        return std::min(depth, piece_begin(pieces(depth, kPackedColumns), parts, part) * kPackedColumns);
      };
      const int64_t begin = from_column(i), count = from_column(i + 1) - begin;
      pack_rows<A>(stored, rows, depth, begin, count, tiles.get());
      multiply<A>({packed_left<A>(tiles.get(), rows), depth_of<A>(1, count), b.get() + right_at<A>(begin / L), b_step, c.get(), rows * L,
                   i ? Start<A>{c.get(), rows * L, L} : start},
                  rows, gates * ub, scratch.get());
    }
  } else
    multiply<A>({{a.get(), rows * L}, depth_of<A>(1, depth), b.get(), b_step, c.get(), rows * L, start}, rows, gates * ub, scratch.get());
  for (int gate = 0; gate < gates; ++gate)
    for (int64_t u = 0; u < units; ++u)
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t column = gate * ub * L + u;
        A sum = from == From::zero ? A(0) : from == From::itself ? A(5) : bias[column];
        for (int64_t k = 0; k < depth; ++k) sum += left[r * depth + k] * weights[(gate * units + u) * depth + k];
        CHECK(at(c, rows, r, column) == sum);
      }
}

#if !SEQGRAD_AMX
// The same product in every tile shape that run_tile dispatches to, alone.
template <class A>
void check_tiles() {
  constexpr int L = kLanes<A>;
  for (int panel = 1; panel <= kMaxPanel; ++panel)
    for (int rows = 1; rows <= max_rows(panel); ++rows) {
      check::context = std::string(SEQGRAD_ISA_NAME) + ", tile " + std::to_string(rows) + " x " + std::to_string(panel);
      const int64_t depth = 2 * L - 1, columns = panel * L;
      const auto left = whole_numbers<A>(rows * depth, 4), right = whole_numbers<A>(depth * columns, 5);
      const Buffer<A> a = blocked(left, rows, depth), b = blocked(right, depth, columns);
      Buffer<A> c(panel * rows * L, Fill::zero);
      const Start<A> itself{c.get(), rows * L, L};
      run_tile<A>(rows, panel, {a.get(), rows * L, b.get(), depth * L, c.get(), rows * L, depth_of<A>(1, depth), {}});
      const Ahead<A> next{b.get(), panel};  // fetching changes nothing, whatever it fetches
      run_tile<A>(rows, panel, {a.get(), rows * L, b.get(), depth * L, c.get(), rows * L, depth_of<A>(1, depth), itself, next});
      for (int r = 0; r < rows; ++r)
        for (int64_t j = 0; j < columns; ++j) {
          A sum = 0;
          for (int64_t k = 0; k < depth; ++k) sum += left[r * depth + k] * right[k * columns + j];
          CHECK(at(c, rows, r, j) == 2 * sum);
        }
    }
}

#else
// A sum of terms of these magnitudes, of which `loses` may be lost; what is not a number, or infinite, stays so.
template <class A>
struct Sum {
  double sum = 0, size = 0;
  void add(A left, A right) { sum += double(left) * double(right), size += std::fabs(double(left) * double(right)); }
  void check(double got, double loses, double least) const {
    const double limited =
        std::fabs(sum) > std::numeric_limits<A>::max() ? std::copysign(std::numeric_limits<double>::infinity(), sum) : sum;
    if (std::isfinite(limited)) CHECK(std::fabs(got - sum) <= size * loses + least);
    else CHECK(std::isnan(limited) ? std::isnan(got) : got == limited);
  }
};

// Two parts of a number lose 2^-15 of it, three less than the sums round; and rows of any magnitude, denormal sums with them, lose
// no more (float storage).
template <class A>
void check_tiles() {
  constexpr bool kFloat = kRightParts > 1;
  const int64_t rows = 19, depth = 37, units = 70, db = blocks_of<A>(depth), ub = blocks_of<A>(units), b_step = right_size<A>(db);
  std::vector<A> left(rows * depth), weights = whole_numbers<A>(units * depth, 12);
  for (size_t i = 0; i < left.size(); ++i) left[i] = std::ldexp(1.0f / float(i + 3), int(i % 150) - 90) * (i % 3 ? 1 : -1);
  for (int64_t k = 0; kFloat && k < depth; ++k) {
    left[6 * depth + k] = 1e-44f * float(k), left[7 * depth + k] = 3e-39f / float(k + 1), left[8 * depth + k] = 3e38f / float(k + 1);
    for (int64_t u = 0; u < units; ++u) weights[u * depth + k] /= float(3 + u % 5 + k);
  }
  left[2 * depth] = std::numeric_limits<A>::infinity(), left[3 * depth + 5] = -std::numeric_limits<A>::infinity();
  left[4 * depth + 36] = std::numeric_limits<A>::quiet_NaN();
  if (kFloat) weights[5 * depth + 3] = std::numeric_limits<A>::infinity(), weights[9 * depth + 1] = std::numeric_limits<A>::quiet_NaN();
  const auto w = as_stored(weights), stored = as_stored(left);
  const Buffer<A> a = blocked(left, rows, depth);
  Buffer<A> c(ub * rows * 16);
  Buffer<Factor<A>> b(ub * b_step), scratch(multiply_size(rows, db)), tiles(packed_size<A>(rows, depth));
  for (int64_t block = 0; block < ub; ++block) pack_transposed(w.data(), units, depth, block, b.get() + block * b_step);
  pack_rows<A>(stored, rows, depth, 0, depth, tiles.get());
  for (bool packed : {false, true}) {
    if (packed && !kFloat) continue;  // what is stored is not what was blocked
    const Left<A> from = packed ? packed_left<A>(tiles.get(), rows) : Left<A>{a.get(), rows * 16};
    multiply<A>({from, depth_of<A>(1, depth), b.get(), b_step, c.get(), rows * 16, {}}, rows, ub, scratch.get());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t u = 0; u < units; ++u) {
        check::context = std::string(SEQGRAD_ISA_NAME) + ", row " + std::to_string(r) + ", unit " + std::to_string(u);
        Sum<A> sum;
        for (int64_t k = 0; k < depth; ++k) sum.add(left[r * depth + k], weights[u * depth + k]);
        sum.check(at(c, rows, r, u), kFloat ? 0x1p-22 : 0x1p-15, kFloat ? 0x1p-149 : 0);
      }
  }
}

// Weight gradients of columns far apart in magnitude, and what is infinite or not a number among them.
template <class A>
void check_columns() {
  const int64_t rows = 53, units = 21, columns = 40, ub = blocks_of<A>(units), bb = blocks_of<A>(columns);
  std::vector<A> left(rows * units), right(rows * columns);
  for (size_t i = 0; i < left.size(); ++i) left[i] = std::ldexp(1.0f / float(i % 97 + 3), int(i % units) * 11 - 140) * (i % 3 ? 1 : -1);
  for (size_t i = 0; i < right.size(); ++i) right[i] = 1e20f / float(i % 89 + 3) * (i % 4 ? 1 : -1);
  left[7 * units + 3] = std::numeric_limits<A>::infinity(), left[9 * units + 4] = std::numeric_limits<A>::quiet_NaN();
  right[5 * columns + 6] = -std::numeric_limits<A>::infinity();
  const Buffer<A> a = blocked(left, rows, units), b = blocked(right, rows, columns);
  Buffer<A> c(bb * ub * 256, Fill::zero);
  Buffer<Factor<A>> scratch(transposed_size(rows, bb, 0));
  const Gradient<A> gradient{0, b.get(), bb, c.get()};
  multiply_transposed<A>(a.get(), rows * 16, 1, units, {&gradient, 1}, rows, scratch.get());
  for (int64_t u = 0; u < units; ++u)
    for (int64_t j = 0; j < columns; ++j) {
      check::context = std::string(SEQGRAD_ISA_NAME) + ", gradient of unit " + std::to_string(u) + ", column " + std::to_string(j);
      Sum<A> sum;
      for (int64_t r = 0; r < rows; ++r) sum.add(left[r * units + u], right[r * columns + j]);
      sum.check(at(c, ub * 16, u, j), 0x1p-21, 0x1p-149);
    }
}
#endif

// dz W with gates in plane order (as GRU's: the last gate first), as backward packs the weights.
template <class A>
void check_straight(int64_t rows, int gates, int64_t units, int64_t columns) {
  constexpr int L = kLanes<A>;
  const int64_t ub = blocks_of<A>(units), cb = blocks_of<A>(columns);
  const auto gate_of = [gates](int plane) { return (plane + gates - 1) % gates; };
  const auto weights = whole_numbers<A>(gates * units * columns, 6), dz = whole_numbers<A>(rows * gates * units, 7);
  const auto w = as_stored(weights);
  const int64_t b_step = right_size<A>(gates * ub);
  Buffer<A> a(gates * ub * rows * L), c(cb * rows * L);
  Buffer<Factor<A>> b(cb * b_step), scratch(multiply_size(rows, gates * ub));
  for (int plane = 0; plane < gates; ++plane)
    for (int64_t r = 0; r < rows; ++r)
      pack_row(dz.data() + (r * gates + plane) * units, units, a.get() + (plane * ub * rows + r) * L, rows * L);
  for (int64_t block = 0; block < cb; ++block) pack_straight(w.data(), gates, gate_of, units, columns, block, b.get() + block * b_step);
  multiply<A>({{a.get(), rows * L}, depth_of<A>(gates, units), b.get(), b_step, c.get(), rows * L, {}}, rows, cb, scratch.get());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < columns; ++j) {
      A sum = 0;
      for (int plane = 0; plane < gates; ++plane)
        for (int64_t u = 0; u < units; ++u)
          sum += dz[(r * gates + plane) * units + u] * weights[(gate_of(plane) * units + u) * columns + j];
      CHECK(at(c, rows, r, j) == sum);
    }
}

// C += A^T B, as the two weight gradients of a layer: the second of A's planes from `second_plane` on (GRU has one more of them).
// Called twice, so that the first call's sum must survive.
template <class A>
void check_transposed(int64_t rows, int gates, int second_plane, int64_t units, int64_t first_columns, int64_t second_columns) {
  constexpr int L = kLanes<A>;
  const int64_t ub = blocks_of<A>(units), height = gates * ub * L, planes = gates + second_plane,
                columns[2] = {first_columns, second_columns};
  const auto left = whole_numbers<A>(rows * planes * units, 8);
  Buffer<A> a(planes * ub * rows * L), b[2], c[2];
  for (int plane = 0; plane < planes; ++plane)
    for (int64_t r = 0; r < rows; ++r)
      pack_row(left.data() + (r * planes + plane) * units, units, a.get() + (plane * ub * rows + r) * L, rows * L);
  std::vector<A> right[2];
  Gradient<A> both[2];
  for (int i = 0; i < 2; ++i) {
    const int64_t blocks = blocks_of<A>(columns[i]);
    right[i] = whole_numbers<A>(rows * columns[i], 9 + i), b[i] = blocked(right[i], rows, columns[i]);
    c[i] = Buffer<A>(blocks * height * L, Fill::zero);
    both[i] = {i * second_plane, b[i].get(), blocks, c[i].get()};
  }
  Buffer<Factor<A>> scratch(transposed_size(rows, both[0].b_blocks, both[1].b_blocks));
  for (int twice = 0; twice < 2; ++twice) multiply_transposed<A>(a.get(), rows * L, gates, units, both, rows, scratch.get());
  for (int i = 0; i < 2; ++i)
    for (int gate = 0; gate < gates; ++gate)
      for (int64_t u = 0; u < units; ++u)
        for (int64_t j = 0; j < columns[i]; ++j) {
          const int64_t plane = gate + i * second_plane;
          A sum = 0;
          for (int64_t r = 0; r < rows; ++r) sum += left[(r * planes + plane) * units + u] * right[i][r * columns[i] + j];
          CHECK(at(c[i], height, gate * ub * L + u, j) == 2 * sum);
        }
}

template <class A>
void check_all() {
  check_tiles<A>();
#if SEQGRAD_AMX_FLOAT
  check_columns<A>();
#endif
  for (From from : {From::zero, From::itself, From::row})
    for (int64_t depth : {2100, 4200}) check_product<A>(300, 1, 33, depth, from, depth == 2100);  // A is taken in several parts
  check_straight<A>(130, 4, 261, 500);          // here, too, gate by gate; and B is fetched ahead
  check_transposed<A>(40, 3, 1, 35, 300, 290);  // the right operands are packed one after the other
  for (int64_t rows : {1, 2, 3, 7, 8, 13, 14, 15, 29, 61, 83})
    for (int64_t columns : {1, 3, 8, 16, 17, 33, 70}) {
      check::context = std::string(SEQGRAD_ISA_NAME) + ", rows " + std::to_string(rows) + ", columns " + std::to_string(columns);
      check_rows<A>(rows, columns);
      for (int gates : {1, 3, 4})
        for (int64_t depth : {0, 1, 5, 16, 19}) check_product<A>(rows, gates, columns, depth, From((rows + depth) % 3), depth % 2);
      check_straight<A>(rows, 3, 5, columns), check_straight<A>(rows, 1, columns, 9), check_straight<A>(rows, 4, 17, columns);
      check_transposed<A>(rows, 1, 0, columns, 9, 1), check_transposed<A>(rows, 3, 1, 21, columns, 17);
    }
}

// A vector's tail is neither read nor written: arrays of one exact size each, every number of lanes.
template <class S>
void check_tails(S fill) {
  using A = Arithmetic<S>;
  for (int lanes = 0; lanes <= kLanes<A>; ++lanes) {
    const std::unique_ptr<S[]> from(new S[lanes]), to(new S[lanes]);
    for (int i = 0; i < lanes; ++i) from[i] = fill;
    const Vec<A> v = load(from.get(), lanes);
    for (int i = lanes; i < kLanes<A>; ++i) CHECK(v[i] == 0);
    store(to.get(), v, lanes);
    for (int i = 0; i < lanes; ++i) CHECK(std::memcmp(&to[i], &fill, sizeof(S)) == 0);
    const Vec<A> kept = first_lanes<A>(splat<A>(std::numeric_limits<A>::quiet_NaN()), lanes);
    for (int i = 0; i < kLanes<A>; ++i) CHECK((i < lanes) == std::isnan(kept[i]));
  }
}

void check_isa() {
  check_all<float>();
#if !SEQGRAD_AMX
  check_all<double>();
  check_tails<float>(1.5f);
  check_tails<double>(1.5);
  check_tails<BFloat16>({0x3fc0});
  check_tails<Half>({0x3e00});
#endif
}

}  // namespace
}  // namespace seqgrad::cpu::SEQGRAD_ISA
