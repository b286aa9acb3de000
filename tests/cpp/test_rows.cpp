// How the samples of a ragged batch are shared among slices.
#include "check.h"

#include <array>
#include <limits>
#include <random>

#include "core/layer.h"
#include "cpu/target_baseline.h"

#include "cpu/rows.h"

#include "cpu/target_end.h"

namespace {

using namespace seqgrad;
using cpu::baseline::make_slices, cpu::baseline::Slice;

std::vector<Slice> slices_of(const std::vector<int64_t>& lengths, int64_t T, int64_t count) {
  Layer p;
  p.T = T, p.N = int64_t(lengths.size()), p.lengths = lengths.data();
  return make_slices(p, count);
}

// Row steps, and one for every step.
int64_t cost(const Slice& slice) {
  int64_t sum = slice.length[0];
  for (int64_t length : slice.length) sum += length;
  return sum;
}

// The least cost of the dearest slice, of all ways to cut a falling sequence.
int64_t best(const std::vector<int64_t>& falling, size_t from, int64_t count) {
  int64_t least = std::numeric_limits<int64_t>::max(), sum = falling[from];
  for (size_t end = from + 1; end <= falling.size(); ++end) {
    sum += falling[end - 1];
    if (end == falling.size()) least = std::min(least, sum);
    else if (count > 1) least = std::min(least, std::max(sum, best(falling, end, count - 1)));
  }
  return least;
}

}  // namespace

TEST(every_sample_is_in_one_slice_by_falling_length_and_the_dearest_slice_is_as_cheap_as_can_be) {
  std::mt19937 random(0);
  for (int round = 0; round < 400; ++round) {
    const int64_t T = 1 + int64_t(random() % 30), N = 1 + int64_t(random() % 9), count = 1 + int64_t(random() % N);
    std::vector<int64_t> lengths;
    for (int64_t n = 0; n < N; ++n) lengths.push_back(int64_t(random() % (T + 1)));
    std::vector<int64_t> seen(N), order;
    int64_t dearest = 0;
    const auto slices = slices_of(lengths, T, count);
    CHECK(int64_t(slices.size()) == count);
    for (const Slice& slice : slices) {
      CHECK(slice.rows() > 0);
      dearest = std::max(dearest, cost(slice));
      for (int64_t r = 0; r < slice.rows(); ++r) {
        ++seen[slice.sample[r]];
        CHECK(slice.length[r] == lengths[slice.sample[r]]);
        order.push_back(slice.length[r]);
      }
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int64_t times) { return times == 1; }));
    CHECK(std::is_sorted(order.rbegin(), order.rend()));
    CHECK(dearest == best(order, 0, count));
  }
}

TEST(equal_lengths_are_neighbours_shared_evenly) {
  const auto slices = slices_of(std::vector<int64_t>(10, 7), 7, 3);
  CHECK(slices[0].rows() == 4 && slices[1].rows() == 4 && slices[2].rows() == 2);
  for (const Slice& slice : slices)
    for (int64_t r = 1; r < slice.rows(); ++r) CHECK(slice.sample[r] == slice.sample[r - 1] + 1);
}

TEST(padding_is_visited_once_neighbours_together) {
  const auto slices = slices_of({3, 0, 2, 5, 3}, 5, 1);
  using Visits = std::vector<std::array<int64_t, 3>>;
  Visits seen;
  slices[0].for_each_padding(5, [&](int64_t t, int64_t n, int64_t count) { seen.push_back({t, n, count}); });
  CHECK((seen == Visits{{0, 1, 1}, {1, 1, 1}, {2, 1, 2}, {3, 0, 3}, {3, 4, 1}, {4, 0, 3}, {4, 4, 1}}));
}
