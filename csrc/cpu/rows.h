// Which samples a thread owns, and which of them are alive at a time step.
//
// Samples are ordered by falling length and dealt to the slices in turn, there and back, so that all slices have as many
// steps to do and, within a slice, the samples alive at a step are always its first rows: ragged batches cost in
// proportion to their real steps. A slice keeps its samples for all time steps: no barrier per step.

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
};

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
  std::vector<std::vector<int64_t>> by_length(layer.T + 1);  // counting sort: stable, and T is small
  for (int64_t n = 0; n < layer.N; ++n) by_length[layer.lengths[n]].push_back(n);
  int64_t i = 0;
  for (int64_t l = layer.T; l >= 0; --l)
    for (int64_t n : by_length[l]) {
      const int64_t place = i % count, s = i / count % 2 ? count - 1 - place : place;
      slices[s].sample.push_back(n);
      slices[s].length.push_back(l);
      ++i;
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
