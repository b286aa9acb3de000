// Which samples a thread owns, and which of them are alive at a time step.
//
// Samples are ordered by falling length, so that within a slice those alive at a step are always its first rows, and the
// order is cut where the slices have about as much to do: few long samples here, many short ones there. Ragged batches
// cost in proportion to their real steps. A slice keeps its samples for all time steps: no barrier per step.
//
// Lost: samples dealt to the slices in turn. All slices thin out at the same time, down to a row or two that cost a step
// as much as more would, and neighbours write to neighbouring rows: 2 to 13 % behind on a batch of equal lengths.

namespace seqgrad::cpu::SEQGRAD_ISA {

// Rows from one column block to the next: odd, for at a power of two all blocks of a row fall into the same cache sets.
inline int64_t spread(int64_t rows) { return rows | 1; }

struct Slice {
  std::vector<int64_t> sample;  // row -> n, by falling length
  std::vector<int64_t> length;  // row -> steps

  int64_t rows() const { return int64_t(sample.size()); }
  int64_t pitch() const { return spread(rows()); }
  int64_t alive(int64_t t, int64_t from) const {  // rows with length > t; `from` is a neighbouring step's answer
    while (from > 0 && length[from - 1] <= t) --from;
    while (from < rows() && length[from] > t) ++from;
    return from;
  }
  // Of the rows alive at t, those from here on have their first, their last step there.
  static int64_t first_from(int64_t t, int64_t alive) { return t == 0 ? 0 : alive; }
  int64_t last_from(int64_t t, int64_t alive) const { return this->alive(t + 1, alive); }

  // visit(time step, n, count): what lies beyond the lengths, samples that are neighbours in memory at once.
  template <class F>
  void for_each_padding(int64_t T, F&& visit) const {
    if (!rows() || length.back() >= T) return;
    std::vector<int64_t> order(rows());  // rows by their samples
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return sample[a] < sample[b]; });
    for (int64_t t = length.back(); t < T; ++t) {
      int64_t first = 0, count = 0;
      for (int64_t r : order) {
        if (length[r] > t) continue;
        if (count && sample[r] == first + count) ++count;
        else {
          if (count) visit(t, first, count);
          first = sample[r], count = 1;
        }
      }
      visit(t, first, count);
    }
  }
};

// In row steps: what a step costs before its first row.
constexpr int64_t kStepCost = 1;

// How many slices a falling sequence of lengths fills if none may cost more than `most`.
inline int64_t slices_needed(const std::vector<int64_t>& lengths, int64_t most) {
  int64_t slices = 0, left = 0;
  for (int64_t length : lengths) {
    if (slices == 0 || left < length) ++slices, left = most - kStepCost * length;
    left -= length;
  }
  return slices;
}

// The least cost of the dearest of `count` slices.
inline int64_t fair_share(const std::vector<int64_t>& lengths, int64_t count) {
  int64_t low = lengths.empty() ? 0 : (1 + kStepCost) * lengths[0], high = low;  // low: the longest sample alone
  for (int64_t length : lengths) high += length;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (slices_needed(lengths, middle) <= count) high = middle;
    else low = middle + 1;
  }
  return low;
}

inline std::vector<Slice> make_slices(const Layer& layer, int64_t count) {
  std::vector<Slice> slices(count);
  if (!layer.lengths) {
    for (int64_t s = 0; s < count; ++s)
      for (int64_t n = layer.N * s / count; n < layer.N * (s + 1) / count; ++n) {
        slices[s].sample.push_back(n);
        slices[s].length.push_back(layer.T);
      }
    return slices;
  }
  Slice all;
  all.sample.resize(layer.N);
  std::iota(all.sample.begin(), all.sample.end(), 0);
  std::stable_sort(all.sample.begin(), all.sample.end(), [&](int64_t a, int64_t b) { return layer.lengths[a] > layer.lengths[b]; });
  for (int64_t n : all.sample) all.length.push_back(layer.lengths[n]);
  const int64_t most = fair_share(all.length, count);
  int64_t s = -1, left = 0;
  for (int64_t i = 0; i < layer.N; ++i) {
    const bool each_gets_one = layer.N - i == count - 1 - s;
    if (s < 0 || left < all.length[i] || each_gets_one) ++s, left = most - kStepCost * all.length[i];
    left -= all.length[i];
    slices[s].sample.push_back(all.sample[i]);
    slices[s].length.push_back(all.length[i]);
  }
  return slices;
}

// A run of consecutive processed time steps whose rows (step, sample) share one blocked scratch.
struct Chunk {
  std::vector<int64_t> t, offset, alive;  // per step, in processing order
  int64_t rows = 0;

  int64_t pitch() const { return spread(rows); }

  // visit(time step, row of the slice, row of the chunk) for the chunk rows of `range`.
  template <class Range, class F>
  void for_each_row(Range range, F&& visit) const {
    for (size_t k = 0; k < t.size(); ++k) {
      const int64_t from = range.begin > offset[k] ? range.begin - offset[k] : 0;
      for (int64_t r = from; r < alive[k] && offset[k] + r < range.end; ++r) visit(t[k], r, offset[k] + r);
    }
  }

  // Appends steps while the rows fit; returns the number of steps taken.
  template <class TimeOf>
  int64_t fill(const Slice& slice, int64_t done, int64_t total, TimeOf time_of, int64_t row_limit) {
    t.clear(), offset.clear(), alive.clear();
    rows = 0;
    int64_t taken = 0, last = slice.rows();
    for (; done + taken < total; ++taken) {
      const int64_t at = time_of(done + taken);
      last = slice.alive(at, last);
      if (taken && rows + last > row_limit) break;
      t.push_back(at), offset.push_back(rows), alive.push_back(last);
      rows += last;
    }
    return taken;
  }
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
