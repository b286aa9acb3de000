// Backward through all time steps of one layer and direction, one slice of the batch per thread, and the norms.
// Per step: the state gradient is completed and measured, the cell's backward fills dz, one product carries it to the
// previous step. Per chunk of steps, while dz is still in cache: dx, and this slice's share of the weight gradients.

namespace seqgrad::cpu::SEQGRAD_ISA {

template <class S, class Cell>
class BackwardPass {
  using A = Arithmetic<S>;
  static constexpr CellTraits kTraits = Cell::kTraits;
  static constexpr int L = kLanes<A>, G = kTraits.gates, D = kTraits.planes();
  static constexpr bool kTwoStates = kTraits.states == 2;
  static constexpr bool kWide = sizeof(A) == 8;  // squares may leave double's range: see norm.h

 public:
  BackwardPass(const Layer& layer, const Backward& grads)
      : p(layer), to(grads), rows_of(norm_rows(layer)), UB(blocks_of<A>(p.H)), IB(blocks_of<A>(p.I)), PB(blocks_of<A>(p.P)),
        dz_step(right_size<A>(G * UB)), hr_step(right_size<A>(PB)), w_ih(to.dx ? IB * dz_step : 0), w_hh(PB * dz_step),
        w_hr(p.w_hr ? UB * hr_step : 0) {}

  void run(const Parallel& threads, int64_t slice_count, int team_size) {
    const Parallel parallel = slice_count * team_size > 1 ? threads : Parallel{};  // little work: waking a thread costs more
    const auto input_gate = [](int plane) { return kTraits.gate_of_input_plane(plane); };
    const auto recurrent_gate = [](int plane) { return plane; };
    if (to.dx)
      parallel(IB, [&](int64_t b) { pack_straight(static_cast<const S*>(p.w_ih), G, input_gate, p.H, p.I, b, w_ih.get() + b * dz_step); });
    parallel(PB,
             [&](int64_t b) { pack_straight(static_cast<const S*>(p.w_hh), G, recurrent_gate, p.H, p.P, b, w_hh.get() + b * dz_step); });
    if (p.w_hr)
      parallel(UB,
               [&](int64_t b) { pack_straight(static_cast<const S*>(p.w_hr), 1, recurrent_gate, p.P, p.H, b, w_hr.get() + b * hr_step); });
    const auto slices = make_slices(p, slice_count);
    std::vector<State> states;  // all memory is taken here: an exception must not leave a team member waiting
    for (const Slice& slice : slices) states.push_back(make_state(slice, team_size));
    with_teams(parallel, slice_count, team_size, [&](int64_t s, Member member) { run_slice(slices[s], states[s], member); });
    sum_weight_gradients(parallel, states);
  }

 private:
  const Layer& p;
  const Backward& to;
  const NormRows rows_of;
  const int64_t UB, IB, PB;
  const int64_t dz_step, hr_step;      // from one column block of the weights to the next
  Buffer<Factor<A>> w_ih, w_hh, w_hr;  // right operands of dz W: [column block][plane, padded unit][L]

  struct State {
    Buffer<A> dh, dc;               // [block][row][L]: carried gradients; dh becomes the total while a step is worked on
    Buffer<A> bypass;               // [block][row][L]: what reaches the previous step's dh without W_hh
    Buffer<A> dc_row;               // [unit block][L]: total dL/dc_t of the sample at hand, in float64
    Buffer<A> dm;                   // [unit block][row][L]: gradient before the projection
    Buffer<A> dz;                   // [plane, unit block][chunk row][L]
    Buffer<A> x, h, m, dp;          // [block][chunk row][L]: x_t, h_{t-1}, o tanh(c), gradient of the projected state
    Buffer<A> dw_ih, dw_hh, dw_hr;  // [column block][plane, padded unit][L]
    Buffer<A> db;                   // [plane, unit block][L]
    Buffer<double> sums;            // [Q, T, row][member]: each member's share of the squares, in a team
    Buffer<Factor<A>> scratch;      // of the products, each member's own
    int64_t scratch_size = 0;

    Factor<A>* scratch_of(Member member) const { return scratch.get() + member.place * scratch_size; }
  };

  int64_t chunk_rows(const Slice& slice) const {
    const int64_t all = slice.rows() * p.T, most = slice.rows() > kChunkRows ? slice.rows() : kChunkRows;
    return all < most ? all : most;
  }

  State make_state(const Slice& slice, int team_size) const {
    const int64_t pitch = slice.pitch(), most = spread(chunk_rows(slice));
    State s;
    s.scratch_size = std::max({multiply_size(most, G * UB), p.w_hr ? multiply_size(slice.rows(), PB) : 0, transposed_size(most, IB, PB),
                               p.w_hr ? transposed_size(most, UB, 0) : 0});
    s.scratch = Buffer<Factor<A>>(team_size * s.scratch_size);
    s.dh = Buffer<A>(PB * pitch * L);
    if (kTraits.bypass) s.bypass = Buffer<A>(UB * pitch * L);
    if (kTwoStates) s.dc = Buffer<A>(UB * pitch * L);
    if (kTwoStates && kWide) s.dc_row = Buffer<A>(UB * L);
    s.dz = Buffer<A>(D * UB * most * L);
    if (to.dx || to.dw_ih) s.x = Buffer<A>(IB * most * L);
    if (to.dw_ih) s.dw_ih = Buffer<A>(IB * G * UB * L * L, Fill::zero);
    if (to.dw_hh) s.h = Buffer<A>(PB * most * L), s.dw_hh = Buffer<A>(PB * G * UB * L * L, Fill::zero);
    if (to.db_ih || to.db_hh) s.db = Buffer<A>(D * UB * L, Fill::zero);
    if (p.w_hr) {
      s.dm = Buffer<A>(UB * pitch * L);
      if (to.dw_hr) s.dp = Buffer<A>(PB * most * L), s.m = Buffer<A>(UB * most * L), s.dw_hr = Buffer<A>(UB * PB * L * L, Fill::zero);
    }
    if (team_size > 1 && to.norms) s.sums = Buffer<double>(rows_of.count * p.T * slice.rows() * team_size);
    return s;
  }

  void run_slice(const Slice& slice, State& s, Member member) {
    [[maybe_unused]] const TileUse tiles;
    Chunk chunk;
    for (int64_t done = 0; done < p.T;) {
      done += chunk.fill(slice, done, p.T, [&](int64_t k) { return p.reverse ? k : p.T - 1 - k; }, chunk_rows(slice));
      for (size_t k = 0; k < chunk.t.size(); ++k) step(s, slice, chunk, k, member);
      if (to.dx) input_gradient(s, slice, chunk, member);
      weight_gradients(s, slice, chunk, member);
      member.barrier();  // the next chunk overwrites dz
    }
    if (!member.leads()) return;
    for (int64_t r = 0; r < slice.rows(); ++r)
      if (slice.length[r] == 0) pass_through(slice, r);
    if (s.sums.get()) norms_from_sums(s, slice, member.team.size());
    zero_padding(slice);
  }

  bool leaves(const Slice& slice, int64_t r, int64_t t) const { return t == (p.reverse ? slice.length[r] - 1 : 0); }
  int64_t row_before(int64_t t, int64_t n) const { return p.row(p.reverse ? t + 1 : t - 1, n); }  // of the state that step t began with

  // Backward enters a sample at the last step that forward processed, and leaves it at the first.
  void step(State& s, const Slice& slice, const Chunk& chunk, size_t k, Member member) {
    const int64_t t = chunk.t[k], alive = chunk.alive[k], pitch = slice.pitch(), offset = chunk.offset[k];
    const int64_t first_from = slice.first_from(t, alive), last_from = slice.last_from(t, alive);
    const int64_t enters_from = p.reverse ? first_from : last_from, leaves_from = p.reverse ? last_from : first_from;
    const auto mine = member.part(PB), units = member.part(UB);
    for (int64_t r = enters_from; r < alive; ++r) begin_row(s, slice, r, member);
    for (int64_t r = 0; r < alive; ++r) complete_state_gradient(s, slice, r, t, r >= enters_from, mine, member);
    if (p.w_hr) {
      multiply<A>({{s.dh.get(), pitch * L}, depth_of<A>(1, p.P), w_hr.get(), hr_step, s.dm.get(), pitch * L, {}}, alive, UB,
                  s.scratch_of(member));
      for (int64_t b = 0; to.dw_hr && b < PB; ++b)
        std::memcpy(s.dp.get() + (b * chunk.pitch() + offset) * L, s.dh.get() + b * pitch * L, alive * L * sizeof(A));
    }
    const bool far = p.T * p.N * (p.I + p.P + kTraits.saved * p.H) * int64_t(sizeof(S)) > kFar && member.team.size() == 1;
    for (int64_t r = 0; r < alive; ++r) {
      cell_backward(s, slice, chunk, r, t, r >= leaves_from, offset + r, units, member);
      if (far && r < leaves_from) fetch_rows(slice, r, t);
    }
    member.barrier();
    const A* dz = s.dz.get() + (kTraits.recurrent_plane() * UB * chunk.pitch() + offset) * L;
    A* carried = s.dh.get() + mine.begin * pitch * L;
    multiply<A>({{dz, chunk.pitch() * L}, depth_of<A>(G, p.H), w_hh.get() + mine.begin * dz_step, dz_step, carried, pitch * L, {}}, alive,
                mine.end - mine.begin, s.scratch_of(member));
    // Not before: the larger a sum is while it grows, the more it loses by rounding, and this may be hundreds of times the product.
    for (int64_t b = mine.begin; kTraits.bypass && b < mine.end; ++b)
      for (int64_t at = b * pitch * L, end = at + alive * L; at < end; at += L)
        store_aligned(s.dh.get() + at, load_aligned(s.dh.get() + at) + load_aligned(s.bypass.get() + at));
    for (int64_t r = leaves_from; r < alive; ++r) finish_row(s, slice, r, member);
    // Truncated BPTT: the way to the previous step crosses a multiple of `truncate` in input time.
    if (p.truncate > 0 && (p.reverse ? t + 1 : t) % p.truncate == 0)
      for (int64_t r = 0; r < leaves_from; ++r) clear_carry(s, pitch, r, member);
  }

  void begin_row(State& s, const Slice& slice, int64_t r, Member member) {
    clear_carry(s, slice.pitch(), r, member);
    if constexpr (kTwoStates) {
      if (!to.grad_cn) return;
      const S* grad = static_cast<const S*>(to.grad_cn) + slice.sample[r] * p.H;
      const auto mine = member.part(UB);
      for (int64_t b = mine.begin; b < mine.end; ++b)
        store_aligned(s.dc.get() + (b * slice.pitch() + r) * L, load(grad + b * L, lanes_in<A>(b, p.H)));
    }
  }

  void clear_carry(State& s, int64_t pitch, int64_t r, Member member) {
    const auto state = member.part(PB), units = member.part(UB);
    for (int64_t b = state.begin; b < state.end; ++b) store_aligned(s.dh.get() + (b * pitch + r) * L, Vec<A>{});
    if constexpr (kTwoStates)
      for (int64_t b = units.begin; b < units.end; ++b) store_aligned(s.dc.get() + (b * pitch + r) * L, Vec<A>{});
  }

  void finish_row(State& s, const Slice& slice, int64_t r, Member member) {
    const auto write = [&](const Buffer<A>& from, void* target, int64_t columns) {
      if (!target) return;
      const auto mine = member.part(blocks_of<A>(columns));
      S* row = static_cast<S*>(target) + slice.sample[r] * columns;
      for (int64_t b = mine.begin; b < mine.end; ++b)
        store(row + b * L, load_aligned(from.get() + (b * slice.pitch() + r) * L), lanes_in<A>(b, columns));
    };
    write(s.dh, to.dh0, p.P);
    if constexpr (kTwoStates) write(s.dc, to.dc0, p.H);
  }

  void pass_through(const Slice& slice, int64_t r) {  // no step at all: hn is h0
    const auto copy = [&](void* to_row, const void* from, int64_t columns) {
      if (!to_row) return;
      S* row = static_cast<S*>(to_row) + slice.sample[r] * columns;
      if (from) std::memcpy(row, static_cast<const S*>(from) + slice.sample[r] * columns, columns * sizeof(S));
      else std::memset(row, 0, columns * sizeof(S));
    };
    copy(to.dh0, to.grad_hn, p.P);
    if (kTwoStates) copy(to.dc0, to.grad_cn, p.H);
  }

  // total = carried + direct: measured, then clipped, in place of the carried one.
  SEQGRAD_HD void complete_state_gradient(State& s, const Slice& slice, int64_t r, int64_t t, bool enters, Member::Range mine, Member member) {
    const int64_t pitch = slice.pitch(), n = slice.sample[r];
    A* dh = s.dh.get() + r * L;
    const S* out = to.grad_out ? static_cast<const S*>(to.grad_out) + p.at(t, n, to.grad_out_stride_t, to.grad_out_stride_n) : nullptr;
    const S* last = to.grad_hn && enters ? static_cast<const S*>(to.grad_hn) + n * p.P : nullptr;
    const bool measure = to.norms || p.clip == ClipKind::norm;
    SquareSum carried, total;
    if (kWide && to.norms) {  // on its own: its scaled sum, if it takes one, reads the carried gradient once more
      for (int64_t b = mine.begin; b < mine.end; ++b) carried.add(first_lanes<A>(load_aligned(dh + b * pitch * L), lanes_in<A>(b, p.P)));
      measured(s, rows_of.grad_carry, slice, r, t, carried, dh, pitch, PB, member);
    }
    for (int64_t b = mine.begin; b < mine.end; ++b) {
      const int lanes = lanes_in<A>(b, p.P);
      Vec<A> g = first_lanes<A>(load_aligned(dh + b * pitch * L), lanes);
      if (!kWide && to.norms) carried.add(g);
      if (out) g += to.grad_out_even ? first_lanes<A>(splat<A>(load(out, 1)[0]), lanes) : load(out + b * L, lanes);
      if (last) g += load(last + b * L, lanes);
      if (measure) total.add(g);
      store_aligned(dh + b * pitch * L, g);
    }
    if (!kWide && to.norms) measured(s, rows_of.grad_carry, slice, r, t, carried, dh, pitch, PB, member);
    if (to.norms) measured(s, rows_of.grad_h, slice, r, t, total, dh, pitch, PB, member);
    if (p.clip != ClipKind::none) clip_row(dh, pitch, measure ? row_norm(total, dh, pitch, PB) : 0, t, n);
  }

  // Alone, a member knows the whole norm; in a team it leaves its share for norms_from_sums.
  void measured(State& s, int quantity, const Slice& slice, int64_t r, int64_t t, const SquareSum& sum, const A* row, int64_t row_step,
                int64_t blocks, Member member) {
    if (s.sums.get() && member.team.size() > 1)
      s.sums.get()[((quantity * p.T + t) * slice.rows() + r) * member.team.size() + member.place] = sum.total();
    else norm(quantity, t, slice.sample[r]) = A(row_norm(sum, row, row_step, blocks));
  }

  void norms_from_sums(State& s, const Slice& slice, int size) const {
    if (size == 1) return;
    for (int q = 0; q < rows_of.count; ++q)
      for (int64_t r = 0; r < slice.rows(); ++r)
        for (int64_t t = 0; t < slice.length[r]; ++t) {
          const double* share = s.sums.get() + ((q * p.T + t) * slice.rows() + r) * size;
          double sum = 0;
          for (int i = 0; i < size; ++i) sum += share[i];
          norm(q, t, slice.sample[r]) = A(std::sqrt(sum));
        }
  }

  void clip_row(A* dh, int64_t pitch, double length, int64_t t, int64_t n) {
    int64_t hits = 0;
    if (p.clip == ClipKind::norm) {
      if (length > p.clip_limit) {
        hits = 1;
        for (int64_t b = 0; b < PB; ++b) store_aligned(dh + b * pitch * L, load_aligned(dh + b * pitch * L) * A(p.clip_limit / length));
      }
    } else {
      const A limit = A(p.clip_limit);
      for (int64_t b = 0; b < PB; ++b) {
        const Vec<A> g = load_aligned(dh + b * pitch * L);  // this way round NaN stays
        store_aligned(dh + b * pitch * L, g > limit ? splat(limit) : (g < -limit ? splat(-limit) : g));
        for (int lane = 0; lane < L; ++lane) hits += g[lane] > limit || g[lane] < -limit;
      }
    }
    if (to.norms) norm(rows_of.clip_hits, t, n) = A(hits);
  }

  // The cell on all units of one sample. Leaves in bypass and dc what reaches the previous step without W_hh.
  SEQGRAD_HD void cell_backward(State& s, const Slice& slice, const Chunk& chunk, int64_t r, int64_t t, bool first, int64_t chunk_row,
                            Member::Range mine, Member member) {
    const int64_t pitch = slice.pitch(), n = slice.sample[r], now = p.row(t, n);
    const int64_t before = first ? 0 : row_before(t, n);
    const S* h = static_cast<const S*>(to.out);
    const S* h_prev = first ? static_cast<const S*>(p.h0) + n * p.P : h + before * p.width();
    const A* saved = static_cast<const A*>(to.saved);
    const A* dh = (p.w_hr ? s.dm.get() : s.dh.get()) + r * L;
    SquareSum cell_sum;
    for (int64_t u = mine.begin; u < mine.end; ++u) {
      const int lanes = lanes_in<A>(u, p.H);
      Step<Vec<A>> cell;
      StepGrad<Vec<A>> grad;
      for (int i = 0; i < kTraits.saved; ++i) cell.saved[i] = load(saved + (now * kTraits.saved + i) * p.H + u * L, lanes);
      if constexpr (kTraits.reads_h) cell.h = load(h + now * p.width() + u * L, lanes);
      if constexpr (kTraits.reads_previous) cell.h_prev = load(h_prev + u * L, lanes);
      if constexpr (kTwoStates) {
        cell.c_prev = first ? load(static_cast<const S*>(p.c0) + n * p.H + u * L, lanes)
                            : load(saved + (before * kTraits.saved + Cell::kSavedCell) * p.H + u * L, lanes);
        grad.dc = load_aligned(s.dc.get() + (u * pitch + r) * L);
      }
      grad.dh = p.w_hr ? first_lanes<A>(load_aligned(dh + u * pitch * L), lanes) : load_aligned(dh + u * pitch * L);
      Cell::template backward<Math<A>>(cell, grad, p.scale);
      for (int plane = 0; plane < D; ++plane)
        store_aligned(s.dz.get() + ((plane * UB + u) * chunk.pitch() + chunk_row) * L, grad.dz[plane]);
      if constexpr (kTwoStates) {
        store_aligned(s.dc.get() + (u * pitch + r) * L, grad.dc_prev);
        if (to.norms) cell_sum.add(grad.dc_total);
        if (kWide && to.norms) store_aligned(s.dc_row.get() + u * L, grad.dc_total);
        if (to.dw_hr)
          store_aligned(s.m.get() + (u * chunk.pitch() + chunk_row) * L, cell.saved[3] * Math<A>::tanh(cell.saved[Cell::kSavedCell]));
      }
      if constexpr (kTraits.bypass) store_aligned(s.bypass.get() + (u * pitch + r) * L, grad.dh_prev);
    }
    if constexpr (kTwoStates) {
      if (to.norms) measured(s, rows_of.grad_c, slice, r, t, cell_sum, s.dc_row.get(), 1, UB, member);
    }
  }

  // What the next step reads of row r, and the end of the chunk of this one.
  SEQGRAD_HD void fetch_rows(const Slice& slice, int64_t r, int64_t t) {
    const int64_t n = slice.sample[r], next = p.reverse ? t + 1 : t - 1, row = p.row(next, n);
    const S* out = static_cast<const S*>(to.out);
    prefetch_row(static_cast<const A*>(to.saved) + row * kTraits.saved * p.H, kTraits.saved * p.H);
    if (!kTraits.reads_previous) prefetch_row(out + row * p.width(), p.P);
    else if (!leaves(slice, r, next)) prefetch_row(out + row_before(next, n) * p.width(), p.P);
    if (to.grad_out && !to.grad_out_even)
      prefetch_row(static_cast<const S*>(to.grad_out) + p.at(next, n, to.grad_out_stride_t, to.grad_out_stride_n), p.P);
    if (to.dw_ih) prefetch_row(static_cast<const S*>(p.x) + p.at(t, n, p.x_stride_t, p.x_stride_n), p.I);
  }

  A& norm(int quantity, int64_t t, int64_t n) const { return static_cast<A*>(to.norms)[(quantity * p.T + t) * p.N + n]; }

  static double row_norm(const SquareSum& sum, const A* row, int64_t pitch, int64_t blocks) {
    if constexpr (!kWide) return std::sqrt(sum.total());  // squares of floats stay in double's range
    return norm_from(sum.total(), [&](auto&& visit) {
      for (int64_t b = 0; b < blocks; ++b)
        for (int lane = 0; lane < L; ++lane) visit(double(row[b * pitch * L + lane]));
    });
  }

  // ---- one chunk of steps -------------------------------------------------------------------------------------------

  // Needs every member's dz: the barrier of the last step has seen to that.
  void input_gradient(State& s, const Slice& slice, const Chunk& chunk, Member member) {
    const int64_t step = chunk.pitch() * L;
    const auto mine = member.part(chunk.rows);
    multiply<A>({{s.dz.get() + mine.begin * L, step}, depth_of<A>(G, p.H), w_ih.get(), dz_step, s.x.get() + mine.begin * L, step, {}},
                mine.end - mine.begin, IB, s.scratch_of(member));
    chunk.for_each_row(mine, [&](int64_t t, int64_t r, int64_t row) {
      unpack_row(s.x.get() + row * L, step, p.I, static_cast<S*>(to.dx) + p.row(t, slice.sample[r]) * p.I);
    });
  }

  void weight_gradients(State& s, const Slice& slice, const Chunk& chunk, Member member) {
    const int64_t step = chunk.pitch() * L;
    chunk.for_each_row(member.part(chunk.rows), [&](int64_t t, int64_t r, int64_t row) {
      const int64_t n = slice.sample[r];
      const S* h =
          leaves(slice, r, t) ? static_cast<const S*>(p.h0) + n * p.P : static_cast<const S*>(to.out) + row_before(t, n) * p.width();
      if (to.dw_ih) pack_row(static_cast<const S*>(p.x) + p.at(t, n, p.x_stride_t, p.x_stride_n), p.I, s.x.get() + row * L, step);
      if (to.dw_hh) pack_row(h, p.P, s.h.get() + row * L, step);
    });
    member.barrier();
    const auto gradient = [&](int64_t plane, int64_t planes, const Buffer<A>& b, int64_t b_blocks, const Buffer<A>& sum) {
      const auto mine = member.part(b_blocks);
      return Gradient<A>{plane, b.get() + mine.begin * step, mine.end - mine.begin, sum.get() + mine.begin * planes * L * L};
    };
    Gradient<A> both[2];
    size_t count = 0;
    if (to.dw_ih) both[count++] = gradient(0, G * UB, s.x, IB, s.dw_ih);
    if (to.dw_hh) both[count++] = gradient(kTraits.recurrent_plane(), G * UB, s.h, PB, s.dw_hh);
    multiply_transposed<A>(s.dz.get(), step, G, p.H, {both, count}, chunk.rows, s.scratch_of(member));
    if (to.dw_hr) {
      both[0] = gradient(0, PB, s.m, UB, s.dw_hr);
      multiply_transposed<A>(s.dp.get(), step, 1, p.P, {both, 1}, chunk.rows, s.scratch_of(member));
    }
    if (!s.db.get()) return;
    const auto mine = member.part(D * UB);
    for (int64_t b = mine.begin; b < mine.end; ++b) {
      Vec<A> sum{};
      for (int64_t row = 0; row < chunk.rows; ++row) sum += load_aligned(s.dz.get() + b * step + row * L);
      store_aligned(s.db.get() + b * L, load_aligned(s.db.get() + b * L) + sum);
    }
  }

  // ---- all slices ---------------------------------------------------------------------------------------------------

  // target[gate * units + unit][columns] = sum over slices, in slice order: the same bits for the same thread count.
  template <class Part, class GateOf>
  void sum_slices(const Parallel& parallel, const std::vector<State>& states, void* target, int gates, GateOf gate_of, int64_t units,
                  int64_t columns, Part part) {
    const int64_t ub = blocks_of<A>(units), depth = gates * ub * L;
    if (!target) return;
    parallel(gates * ub, [&](int64_t item) {
      const int64_t plane = item / ub, u = item % ub;
      for (int lane = 0; lane < lanes_in<A>(u, units); ++lane) {
        S* row = static_cast<S*>(target) + (gate_of(int(plane)) * units + u * L + lane) * columns;
        for (int64_t b = 0; b < blocks_of<A>(columns); ++b) {
          Vec<A> sum{};
          for (const State& s : states) sum += load_aligned(part(s) + (b * depth + item * L + lane) * L);
          store(row + b * L, sum, lanes_in<A>(b, columns));
        }
      }
    });
  }

  void sum_weight_gradients(const Parallel& parallel, const std::vector<State>& states) {
    const auto input_gate = [](int plane) { return kTraits.gate_of_input_plane(plane); };
    const auto same = [](int plane) { return plane; };
    sum_slices(parallel, states, to.dw_ih, G, input_gate, p.H, p.I, [](const State& s) { return s.dw_ih.get(); });
    sum_slices(parallel, states, to.dw_hh, G, same, p.H, p.P, [](const State& s) { return s.dw_hh.get(); });
    sum_slices(parallel, states, to.dw_hr, 1, same, p.P, p.H, [](const State& s) { return s.dw_hr.get(); });
    const auto sum_bias = [&](void* target, int plane0, auto gate_of) {
      if (!target) return;
      for (int g = 0; g < G; ++g)
        for (int64_t u = 0; u < UB; ++u) {
          Vec<A> sum{};
          for (const State& s : states) sum += load_aligned(s.db.get() + ((plane0 + g) * UB + u) * L);
          store(static_cast<S*>(target) + gate_of(g) * p.H + u * L, sum, lanes_in<A>(u, p.H));
        }
    };
    sum_bias(to.db_ih, 0, input_gate);
    sum_bias(to.db_hh, kTraits.recurrent_plane(), same);
  }

  void zero_padding(const Slice& slice) {
    slice.for_each_padding(p.T, [&](int64_t t, int64_t n, int64_t count) {
      if (to.dx && !p.first_row) std::memset(static_cast<S*>(to.dx) + p.row(t, n) * p.I, 0, count * p.I * sizeof(S));
      for (int q = 0; to.norms && q < rows_of.count; ++q) std::memset(&norm(q, t, n), 0, count * sizeof(A));
    });
  }
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
