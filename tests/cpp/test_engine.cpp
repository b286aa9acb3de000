// The CPU engine against plain loops: every cell, instruction set of this machine, float, double and bfloat16, on ragged
// shapes, over real threads. All memory is exact-size and filled with NaN, so that ASan sees a step outside and a comparison
// sees a value that was never written; TSan sees two threads that meet.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/engine.h"
#include "naive_layer.h"

using namespace seqgrad;

namespace {

void launch_threads(int64_t count, void (*run)(void*, int64_t), void* context) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) threads.emplace_back(run, context, i);
  for (std::thread& thread : threads) thread.join();
}

// A pool that is busy, or a nested call: one item after the other, in an order nobody promised.
void launch_in_turn(int64_t count, void (*run)(void*, int64_t), void* context) {
  for (int64_t i = count - 1; i >= 0; --i) run(context, i);
}

struct Shape { int64_t T, N, I, H, P; };

struct Options {
  bool reverse = false, ragged = false;
  int64_t truncate = 0;
  ClipKind clip = ClipKind::none;
  int threads = 3;
  bool in_turn = false;
  bool half = false;    // out is the right half of rows twice as wide
  bool packed = false;  // the engine reads and writes packed rows; samples come by falling length, none of length 0
};

// bfloat16 as storage; the engine's arithmetic on it is float.
struct BFloat16 {
  uint16_t bits = 0x7fc0;  // NaN
  BFloat16() = default;
  explicit BFloat16(double value) {
    const float rounded = float(value);
    uint32_t u;
    std::memcpy(&u, &rounded, 4);
    bits = uint16_t((u + 0x7fff + (u >> 16 & 1)) >> 16);
  }
  operator double() const {
    const uint32_t u = uint32_t(bits) << 16;
    float value;
    std::memcpy(&value, &u, 4);
    return value;
  }
};
template <class S> struct Storage {
  using Arithmetic = S;
  static constexpr DType kDType = DType::float32;
  static constexpr double kTolerance = 2e-5;
};
template <> struct Storage<double> {
  using Arithmetic = double;
  static constexpr DType kDType = DType::float64;
  static constexpr double kTolerance = 1e-12;
};
// Backward reads the states as stored: rounded by up to 2^-8, they move all that follows.
template <> struct Storage<BFloat16> {
  using Arithmetic = float;
  static constexpr DType kDType = DType::bfloat16;
  static constexpr double kTolerance = 1e-2;
};

naive::Row uniform(std::mt19937& random, int64_t count, double bound) {
  std::uniform_real_distribution<double> values(-bound, bound);
  naive::Row row(count);
  for (double& v : row) v = BFloat16(values(random));  // exact in every storage type
  return row;
}

naive::Inputs make_inputs(const Layer& p, const Options& options, std::mt19937& random) {
  const int64_t rows = p.traits().gates * p.H, cells = p.traits().states == 2 ? p.N * p.H : 0;
  const double bound = 1 / std::sqrt(double(p.H));
  naive::Inputs in;
  in.w_ih = uniform(random, rows * p.I, bound), in.w_hh = uniform(random, rows * p.P, bound);
  in.b_ih = uniform(random, rows, bound), in.b_hh = uniform(random, rows, bound);
  if (p.P != p.H) in.w_hr = uniform(random, p.P * p.H, bound);
  in.x = uniform(random, p.T * p.N * p.I, 1), in.h0 = uniform(random, p.N * p.P, 1), in.c0 = uniform(random, cells, 1);
  in.grad_out = uniform(random, p.T * p.N * p.P, 1), in.grad_hn = uniform(random, p.N * p.P, 1);
  in.grad_cn = uniform(random, cells, 1);
  for (int64_t n = 0; n < p.N; ++n) in.lengths.push_back(options.ragged ? int64_t(random() % (p.T + 1)) : p.T);
  if (options.packed) {
    for (int64_t& length : in.lengths) length = std::max<int64_t>(length, 1);
    std::sort(in.lengths.rbegin(), in.lengths.rend());
    in.lengths[0] = p.T;
  }
  return in;
}

// Rows of a padded batch that belong to a sample, in the order of time; and their way back, among zeros.
template <class A>
std::vector<A> pack(const std::vector<A>& padded, const naive::Inputs& in, int64_t T, int64_t columns) {
  std::vector<A> rows;
  for (int64_t t = 0, N = int64_t(in.lengths.size()); t < T; ++t)
    for (int64_t n = 0; n < N && in.lengths[n] > t; ++n)
      rows.insert(rows.end(), &padded[(t * N + n) * columns], &padded[(t * N + n) * columns] + columns);
  return rows;
}

template <class A>
std::vector<A> unpack(const std::vector<A>& rows, const naive::Inputs& in, int64_t T, int64_t columns) {
  const int64_t N = int64_t(in.lengths.size());
  std::vector<A> padded(T * N * columns);
  const A* row = rows.data();
  for (int64_t t = 0; t < T; ++t)
    for (int64_t n = 0; n < N && in.lengths[n] > t; ++n, row += columns) std::copy(row, row + columns, &padded[(t * N + n) * columns]);
  return padded;
}

template <class A>
std::vector<A> as(const naive::Row& row) {
  std::vector<A> values;
  for (double v : row) values.push_back(A(v));
  return values;
}

template <class A>
std::vector<A> unwritten(size_t count) {
  return std::vector<A>(count, A(std::numeric_limits<double>::quiet_NaN()));
}

// Relative to the largest value of the array: single elements may cancel.
template <class A>
void compare(const std::string& what, const std::vector<A>& got, const naive::Row& expected, double tolerance) {
  double most = 0;
  for (double v : expected) most = std::fabs(v) > most ? std::fabs(v) : most;
  const std::string context = check::context;
  check::context += ", " + what;
  CHECK(got.size() == expected.size());
  for (size_t i = 0; i < got.size() && check::failures < 20; ++i)
    CHECK_CLOSE(double(got[i]), expected[i], tolerance, most > 1e-3 ? most : 1e-3);
  check::context = context;
}

template <class S>
void run_engine(const cpu::Engine& engine, Layer p, const naive::Inputs& in, const Options& options, const naive::Outputs& right) {
  using A = typename Storage<S>::Arithmetic;
  const auto compare = [](const std::string& what, const auto& got, const naive::Row& expected) {
    ::compare(what, got, expected, Storage<S>::kTolerance);
  };
  const auto w_ih = as<S>(in.w_ih), w_hh = as<S>(in.w_hh), b_ih = as<S>(in.b_ih), b_hh = as<S>(in.b_hh), w_hr = as<S>(in.w_hr);
  const auto given = [&](const std::vector<S>& padded, int64_t columns) {
    return options.packed ? pack(padded, in, p.T, columns) : padded;
  };
  const auto padded = [&](const std::vector<S>& rows, int64_t columns) { return options.packed ? unpack(rows, in, p.T, columns) : rows; };
  const auto x = given(as<S>(in.x), p.I), h0 = as<S>(in.h0), c0 = as<S>(in.c0);
  const auto grad_out = given(as<S>(in.grad_out), p.P), grad_hn = as<S>(in.grad_hn), grad_cn = as<S>(in.grad_cn);
  const bool two = p.traits().states == 2;
  p.dtype = Storage<S>::kDType;
  p.w_ih = w_ih.data(), p.w_hh = w_hh.data(), p.b_ih = b_ih.data(), p.b_hh = b_hh.data();
  p.w_hr = w_hr.empty() ? nullptr : w_hr.data();
  p.x = x.data(), p.x_stride_t = p.N * p.I, p.x_stride_n = p.I, p.h0 = h0.data(), p.c0 = two ? c0.data() : nullptr;
  p.lengths = options.ragged || options.packed ? in.lengths.data() : nullptr;
  const int64_t rows = int64_t(x.size()) / p.I;
  std::vector<int64_t> first_row;
  for (int64_t t = 0, row = 0; options.packed && t < p.T; ++t) {
    first_row.push_back(row);
    for (int64_t length : in.lengths) row += length > t;
  }
  if (options.packed) p.first_row = first_row.data(), p.x_stride_t = 0;
  const Parallel parallel{options.threads, options.in_turn ? launch_in_turn : launch_threads};

  p.out_width = options.half ? 2 * p.P : 0;
  const int64_t left = p.width() - p.P;
  auto wide = unwritten<S>(rows * p.width()), hn = unwritten<S>(right.hn.size()), cn = unwritten<S>(right.cn.size());
  auto saved = unwritten<A>(rows * p.traits().saved * p.H);
  engine.forward(p, {wide.data() + left, hn.data(), two ? cn.data() : nullptr, saved.data()}, parallel);
  std::vector<S> out;
  for (int64_t row = 0; row < rows; ++row) {
    const S* begin = &wide[row * p.width()];
    for (int64_t i = 0; i < left; ++i) CHECK(std::isnan(double(begin[i])));  // another's
    out.insert(out.end(), begin + left, begin + p.width());
  }
  compare("out", padded(out, p.P), right.out), compare("hn", hn, right.hn), compare("cn", cn, right.cn);

  Backward b;
  b.out = wide.data() + left, b.saved = saved.data();
  b.grad_out = grad_out.data(), b.grad_out_stride_t = options.packed ? 0 : p.N * p.P, b.grad_out_stride_n = p.P;
  b.grad_hn = grad_hn.data(), b.grad_cn = two ? grad_cn.data() : nullptr;
  auto dx = unwritten<S>(rows * p.I), dw_ih = unwritten<S>(right.dw_ih.size()), dw_hh = unwritten<S>(right.dw_hh.size());
  auto db_ih = unwritten<S>(right.db_ih.size()), db_hh = unwritten<S>(right.db_hh.size());
  auto dw_hr = unwritten<S>(right.dw_hr.size()), dh0 = unwritten<S>(right.dh0.size()), dc0 = unwritten<S>(right.dc0.size());
  const NormRows quantities = norm_rows(p);
  auto norms = unwritten<A>(quantities.count * p.T * p.N);
  b.dx = dx.data(), b.dw_ih = dw_ih.data(), b.dw_hh = dw_hh.data(), b.db_ih = db_ih.data(), b.db_hh = db_hh.data();
  b.dw_hr = dw_hr.empty() ? nullptr : dw_hr.data(), b.dh0 = dh0.data(), b.dc0 = two ? dc0.data() : nullptr;
  b.norms = norms.data();
  engine.backward(p, b, parallel);
  compare("dx", padded(dx, p.I), right.dx), compare("dw_ih", dw_ih, right.dw_ih), compare("dw_hh", dw_hh, right.dw_hh);
  compare("db_ih", db_ih, right.db_ih), compare("db_hh", db_hh, right.db_hh), compare("dw_hr", dw_hr, right.dw_hr);
  compare("dh0", dh0, right.dh0), compare("dc0", dc0, right.dc0);
  const auto quantity = [&](int row) { return std::vector<A>(&norms[row * p.T * p.N], &norms[row * p.T * p.N] + p.T * p.N); };
  compare("grad_h", quantity(quantities.grad_h), right.grad_h), compare("grad_carry", quantity(quantities.grad_carry), right.grad_carry);
  if (quantities.grad_c >= 0) compare("grad_c", quantity(quantities.grad_c), right.grad_c);
  if (quantities.clip_hits >= 0) compare("clip_hits", quantity(quantities.clip_hits), right.hits);
}

void check_layer(const Shape& shape, const Options& options) {
  const cpu::Engine* engines[8];
  const int engine_count = cpu::available(engines, 8);
  for (int id = 0; id < kCellCount; ++id) {
    Layer p;
    p.cell = static_cast<CellId>(id);
    p.T = shape.T, p.N = shape.N, p.I = shape.I, p.H = shape.H, p.P = shape.P;
    if (p.P != p.H && p.traits().states != 2) continue;
    p.reverse = options.reverse, p.scale = 0.7, p.truncate = options.truncate, p.clip = options.clip, p.clip_limit = 0.8;
    std::mt19937 random(17 + id);
    const naive::Inputs in = make_inputs(p, options, random);
    p.w_hr = in.w_hr.empty() ? nullptr : in.w_hr.data();  // for the plain loops: whether there is a projection
    p.lengths = nullptr;
    const naive::Outputs right = naive::run(p, in);
    for (int e = 0; e < engine_count; ++e) {
      const std::string name = std::string(kCells[id].name) + ", " + engines[e]->name + ", T=" + std::to_string(p.T) +
                               " N=" + std::to_string(p.N) + " I=" + std::to_string(p.I) + " H=" + std::to_string(p.H);
      check::context = name + ", float";
      run_engine<float>(*engines[e], p, in, options, right);
      check::context = name + ", double";
      run_engine<double>(*engines[e], p, in, options, right);
      check::context = name + ", bfloat16";
      run_engine<BFloat16>(*engines[e], p, in, options, right);
    }
  }
}

}  // namespace

TEST(single_step_single_unit) { check_layer({1, 1, 1, 1, 1}, {}); }
TEST(ragged_tiles) { check_layer({5, 8, 3, 33, 33}, {}); }
TEST(ragged_lengths) { check_layer({7, 9, 5, 17, 17}, {.ragged = true}); }
TEST(ragged_lengths_reversed) { check_layer({7, 9, 5, 17, 17}, {.reverse = true, .ragged = true}); }
TEST(projection) { check_layer({4, 5, 6, 19, 7}, {.reverse = true}); }
TEST(truncation) { check_layer({7, 3, 2, 9, 9}, {.ragged = true, .truncate = 3}); }
TEST(truncation_reversed) { check_layer({7, 3, 2, 9, 9}, {.reverse = true, .ragged = true, .truncate = 3}); }
TEST(clipped_by_norm) { check_layer({6, 3, 2, 9, 9}, {.clip = ClipKind::norm}); }
TEST(clipped_by_value) { check_layer({6, 3, 2, 9, 9}, {.clip = ClipKind::value}); }
TEST(half_of_an_output) { check_layer({7, 9, 5, 17, 17}, {.ragged = true, .half = true}); }
TEST(half_of_an_output_reversed) { check_layer({7, 9, 5, 17, 17}, {.reverse = true, .half = true, .packed = true}); }
TEST(half_of_a_projected_output) { check_layer({70, 4, 3, 19, 7}, {.half = true}); }
TEST(packed_rows) { check_layer({7, 9, 5, 17, 17}, {.truncate = 3, .packed = true}); }
TEST(packed_rows_reversed) { check_layer({7, 9, 5, 17, 17}, {.reverse = true, .packed = true}); }
TEST(packed_rows_of_a_projection) { check_layer({6, 4, 3, 19, 7}, {.packed = true}); }
TEST(packed_rows_on_several_threads) { check_layer({70, 9, 40, 41, 41}, {.packed = true}); }
TEST(directions_at_the_same_time) {
  const auto at_once = [](int64_t T, int64_t N, int64_t H, int threads) {
    Layer p;
    p.cell = CellId::gru, p.T = T, p.N = N, p.I = p.H = p.P = H;
    return cpu::both_at_once(p, cpu::split_forward(p, threads), threads);
  };
  CHECK(at_once(200, 1, 64, 2));  // one sample: the other thread would idle
  CHECK(at_once(200, 2, 64, 2));  // two threads, two directions
  CHECK(at_once(200, 1, 64, 8));
  CHECK(!at_once(200, 1, 64, 1));
  CHECK(!at_once(2, 1, 16, 2));      // too little to wake a thread for
  CHECK(!at_once(200, 1, 1024, 2));  // a team shares the weights
  CHECK(!at_once(200, 8, 64, 8));    // eight samples for eight threads
}
// Enough work for a slice per thread (the engine keeps small problems on one), several chunks of time steps.
TEST(several_threads) { check_layer({70, 9, 40, 41, 41}, {.ragged = true}); }
TEST(one_thread) { check_layer({70, 9, 40, 41, 41}, {.ragged = true, .threads = 1}); }
// One long sample of many units: three threads share it and meet at every time step.
TEST(a_team_shares_one_sample) { check_layer({40, 1, 5, 277, 277}, {.truncate = 16}); }
TEST(a_team_shares_one_sample_reversed) { check_layer({40, 1, 5, 277, 277}, {.reverse = true, .ragged = true}); }
TEST(a_team_that_cannot_meet_works_alone) { check_layer({40, 1, 5, 277, 277}, {.in_turn = true}); }
