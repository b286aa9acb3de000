// All time steps of one layer and direction, one slice of the batch per thread.
// Per chunk of steps: one product projects the input; per step: one product with W_hh, the cell as its epilogue.

namespace seqgrad::cpu::SEQGRAD_ISA {

constexpr int64_t kChunkRows = 256;

template <class S, class Cell>
class ForwardPass {
  using A = Arithmetic<S>;
  static constexpr int L = kLanes<A>, G = Cell::kTraits.gates;
  static constexpr bool kTwoStates = Cell::kTraits.states == 2;

 public:
  ForwardPass(const Layer& layer, const ForwardOut& result)
      : p(layer), to(result), UB(blocks_of<A>(p.H)), IB(blocks_of<A>(p.I)), PB(blocks_of<A>(p.P)), ih_step(right_size<A>(IB)),
        hh_step(right_size<A>(PB)), hr_step(right_size<A>(UB)), w_ih(G * UB * ih_step), w_hh(G * UB * hh_step),
        w_hr(p.w_hr ? PB * hr_step : 0), bias(2 * G * UB * L),
        saved_past(to.saved && written_past<A>(to.saved, p.T * p.N * Cell::kTraits.saved, p.H, p.H)),
        out_past(written_past<S>(to.out, p.T * p.N, p.width(), p.P)) {}

  void run(const Parallel& threads, int64_t slice_count, int team_size) {
    const Parallel parallel = slice_count * team_size > 1 ? threads : Parallel{};  // little work: waking a thread costs more
    parallel(G * UB, [&](int64_t b) {
      pack_transposed(static_cast<const S*>(p.w_ih), p.H, p.I, b, w_ih.get() + b * ih_step);
      pack_transposed(static_cast<const S*>(p.w_hh), p.H, p.P, b, w_hh.get() + b * hh_step);
    });
    if (p.w_hr) parallel(PB, [&](int64_t b) { pack_transposed(static_cast<const S*>(p.w_hr), p.P, p.H, b, w_hr.get() + b * hr_step); });
    pack_bias();
    const auto slices = make_slices(p, slice_count);
    std::vector<State> states;  // all memory is taken here: an exception must not leave a team member waiting
    for (const Slice& slice : slices) states.push_back(make_state(slice, team_size));
    with_teams(parallel, slice_count, team_size, [&](int64_t s, Member member) { run_slice(slices[s], states[s], member); });
  }

 private:
  const Layer& p;
  const ForwardOut& to;
  const int64_t UB, IB, PB;                 // column blocks of units, inputs, state
  const int64_t ih_step, hh_step, hr_step;  // from one column block of the weights to the next
  Buffer<Factor<A>> w_ih, w_hh, w_hr;       // right operands [gate, unit block][depth][L]
  Buffer<A> bias;                           // [input side, recurrent side][gate, unit block][L]
  const bool saved_past, out_past;          // see written_past

  void pack_bias() {
    for (int64_t b = 0; b < G * UB; ++b) {
      const int64_t gate = b / UB, u = b % UB;
      const int lanes = lanes_in<A>(u, p.H);
      const int64_t at = gate * p.H + u * L;
      const Vec<A> ih = p.b_ih ? load(static_cast<const S*>(p.b_ih) + at, lanes) : Vec<A>{};
      const Vec<A> hh = p.b_hh ? load(static_cast<const S*>(p.b_hh) + at, lanes) : Vec<A>{};
      const bool apart = Cell::kTraits.split && gate == G - 1;
      store_aligned(bias.get() + b * L, apart ? ih : ih + hh);
      store_aligned(bias.get() + (G * UB + b) * L, apart ? hh : Vec<A>{});
    }
  }

  struct State {
    Buffer<A> h[2], c;          // [block][row][L]; h alternates between steps
    Buffer<A> wx;               // [gate, unit block][chunk row][L]
    Buffer<Factor<A>> x;        // left operand of the chunk's rows
    Buffer<A> m;                // [unit block][row][L]: o tanh(c) before the projection
    Buffer<Factor<A>> scratch;  // of the products, each member's own
    int64_t scratch_size = 0;

    Factor<A>* scratch_of(Member member) const { return scratch.get() + member.place * scratch_size; }
  };

  int64_t chunk_rows(const Slice& slice) const {
    const int64_t all = slice.rows() * p.T, most = slice.rows() > kChunkRows ? slice.rows() : kChunkRows;
    return all < most ? all : most;
  }

  State make_state(const Slice& slice, int team_size) const {
    const int64_t pitch = slice.pitch(), rows = slice.rows(), most = spread(chunk_rows(slice));
    State s;
    s.scratch_size = std::max(left_size(rows, PB), p.w_hr ? multiply_size(rows, UB) : 0);
    s.scratch = Buffer<Factor<A>>(team_size * s.scratch_size);
    for (Buffer<A>& h : s.h) h = Buffer<A>(PB * pitch * L);
    s.wx = Buffer<A>(G * UB * most * L);
    s.x = Buffer<Factor<A>>(packed_size<A>(most, p.I));
    if (kTwoStates) s.c = Buffer<A>(UB * pitch * L);
    if (p.w_hr) s.m = Buffer<A>(UB * pitch * L);
    return s;
  }

  void run_slice(const Slice& slice, State& s, Member member) {
    [[maybe_unused]] const TileUse tiles;
    if (member.leads())
      for (int64_t r = 0; r < slice.rows(); ++r) begin_row(s, slice, r);
    Chunk chunk;
    for (int64_t done = 0; done < p.T;) {
      const int64_t taken = chunk.fill(slice, done, p.T, [&](int64_t k) { return p.reverse ? p.T - 1 - k : k; }, chunk_rows(slice));
      project(s, slice, chunk, member);
      for (size_t k = 0; k < chunk.t.size(); ++k) {
        step(s, slice, chunk, k, (done + k) % 2, member);
        member.barrier();
      }
      done += taken;
    }
    stores_done();
    if (member.leads()) zero_padding(slice);
  }

  void begin_row(State& s, const Slice& slice, int64_t r) {
    const int64_t n = slice.sample[r], pitch = slice.pitch();
    const S* h0 = static_cast<const S*>(p.h0) + n * p.P;
    pack_row(h0, p.P, s.h[0].get() + r * L, pitch * L);
    pack_row(h0, p.P, s.h[1].get() + r * L, pitch * L);
    std::memcpy(static_cast<S*>(to.hn) + n * p.P, h0, p.P * sizeof(S));
    if constexpr (kTwoStates) {
      const S* c0 = static_cast<const S*>(p.c0) + n * p.H;
      pack_row(c0, p.H, s.c.get() + r * L, pitch * L);
      std::memcpy(static_cast<S*>(to.cn) + n * p.H, c0, p.H * sizeof(S));
    }
  }

  // wx = x W_ih^T + b for all rows of the chunk. Ends with every member's own columns done: nobody else reads them.
  void project(State& s, const Slice& slice, const Chunk& chunk, Member member) {
    const int64_t pitch = chunk.pitch(), step = pitch * L;
    const auto mine = member.part(UB);
    const int64_t width = mine.end - mine.begin, parts = packed_parts(p.I);
    for (int64_t i = 0; i < parts; ++i) {
      const auto from = [&](int64_t part) { return std::min(p.I, piece_begin(pieces(p.I, kPackedColumns), parts, part) * kPackedColumns); };
      const int64_t begin = from(i), end = from(i + 1);
      if (i) member.barrier();
      pack_input(s, slice, chunk, member.part(chunk.rows), begin, end);
      member.barrier();
      for (int64_t gate = 0, together = width == UB ? G : 1; gate < G; gate += together) {
        const int64_t b0 = gate * UB + mine.begin;
        A* wx = s.wx.get() + b0 * step;
        multiply<A>({packed_left<A>(s.x.get(), pitch), depth_of<A>(1, end - begin), w_ih.get() + b0 * ih_step + right_at<A>(begin / L),
                     ih_step, wx, step, i ? Start<A>{wx, step, L} : Start<A>{bias.get() + b0 * L, L, 0}},
                    chunk.rows, together * width, s.scratch_of(member));
      }
    }
  }

  // Columns begin to end of x, of the chunk rows of `range`, a row tile at a time.
  void pack_input(State& s, const Slice& slice, const Chunk& chunk, Member::Range range, int64_t begin, int64_t end) const {
    const S* x[kPackedRows];
    int64_t count = 0;
    chunk.for_each_row(range, [&](int64_t t, int64_t r, int64_t row) {
      x[count++] = static_cast<const S*>(p.x) + p.at(t, slice.sample[r], p.x_stride_t, p.x_stride_n) + begin;
      if (row + 1 == range.end || (row + 1) % kPackedRows == 0)
        pack_left(x, count, end - begin, s.x.get(), row + 1 - count, chunk.pitch()), count = 0;
    });
  }

  // A tile takes all gates of L units; a one-gate cell's takes several unit blocks. It begins at zero, not at wx: the larger a
  // sum is while it grows, the more it loses by rounding.
  void step(State& s, const Slice& slice, const Chunk& chunk, size_t k, int current, Member member) {
    const int64_t pitch = slice.pitch(), alive = chunk.alive[k], wx_step = chunk.pitch() * L;
    const auto mine = member.part(UB);
    const A* h = s.h[current].get();
    A* next = s.h[1 - current].get();
    const Depth depth = depth_of<A>(1, p.P);
    const auto left = Left<A>{h, pitch * L}.part(0, alive, 0, depth, s.scratch_of(member));
    alignas(64) A tile[kMaxPanel * kMostRows * L];  // [gate or unit block][row][L]
    const int64_t blocks = mine.end - mine.begin, panels = pieces(blocks, G > 1 ? 1 : panel_of(alive, blocks));
    const bool far = G * blocks * hh_step * int64_t(sizeof(Factor<A>)) > kNear;
    for (int64_t j = 0; j < panels; ++j) {  // outside: a panel of W_hh is read from far once, then from near
      const int64_t u = mine.begin + piece_begin(blocks, panels, j), end = mine.begin + piece_begin(blocks, panels, j + 1);
      const int width = G > 1 ? G : int(end - u);
      const int64_t tiles = pieces(alive, max_rows(width)), w_step = (G > 1 ? UB : 1) * hh_step;
      const bool fetch = far && end < mine.end && tiles >= kTilesToFetch;
      const int64_t coming = !fetch ? 0 : G > 1 ? G : piece_begin(blocks, panels, j + 2) - piece_begin(blocks, panels, j + 1);
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t r0 = row_begin(alive, tiles, i), r1 = row_begin(alive, tiles, i + 1), n = r1 - r0;
        const A* wx = s.wx.get() + u * wx_step + (chunk.offset[k] + r0) * L;
        const Ahead<A> ahead = share_of<A>(w_hh.get() + end * hh_step, w_step, coming, tiles, i);
        run_tile<A>(int(n), width, {left.row(r0), left.step, w_hh.get() + u * hh_step, w_step, tile, n * L, depth, {}, ahead});
        for (int64_t v = u; v < end; ++v)
          apply_cell(s, slice, chunk.t[k], v, r0, r1, wx + (v - u) * wx_step, UB * wx_step, tile + (v - u) * n * L, h, next);
      }
    }
    if (p.w_hr) project_state(s, slice, chunk, k, alive, next, s.scratch_of(member));
    finish_rows(s, slice, chunk, k, next, mine.begin, mine.end);
  }

  // The cell on unit block u of rows r0 to r1: wx and rec hold the two sides of their pre-activations [gate][row][L], gates of
  // wx `wx_gate` apart.
  SEQGRAD_HD void apply_cell(State& s, const Slice& slice, int64_t t, int64_t u, int64_t r0, int64_t r1, const A* wx, int64_t wx_gate,
                         const A* rec, const A* h, A* next) {
    // Everything the loop needs, by value: what it stores could else be what it reads next.
    const int64_t at = (u * slice.pitch() + r0) * L, rows = r1 - r0, out_width = p.width(), saved_width = Cell::kTraits.saved * p.H;
    const int64_t* sample = slice.sample.data() + r0;
    const int lanes = lanes_in<A>(u, p.H);
    const bool projected = p.w_hr;
    const double scale = p.scale;
    const Vec<A> hidden_bias = load_aligned(bias.get() + (G * UB + (G - 1) * UB + u) * L);
    A* c = kTwoStates ? s.c.get() + at : nullptr;
    A* state = projected ? s.m.get() + at : next + at;
    S* out = static_cast<S*>(to.out) + p.row(t, 0) * out_width + u * L;
    A* saved = to.saved ? static_cast<A*>(to.saved) + p.row(t, 0) * saved_width + u * L : nullptr;
    const int64_t unit_step = p.H;
    const bool saved_past = this->saved_past, out_past = this->out_past;
    h += at;
    for (int64_t r = 0; r < rows; ++r) {
      Step<Vec<A>> cell;
      for (int g = 0; g < G; ++g) {
        cell.in[g] = load_aligned(wx + g * wx_gate + r * L);
        cell.rec[g] = load_aligned(rec + (g * rows + r) * L);
      }
      if constexpr (Cell::kTraits.split) cell.rec[G - 1] += hidden_bias;
      cell.h_prev = projected ? Vec<A>{} : load_aligned(h + r * L);
      if constexpr (kTwoStates) cell.c_prev = load_aligned(c + r * L);
      Cell::template forward<Math<A>>(cell, scale);
      if constexpr (kTwoStates) store_aligned(c + r * L, first_lanes<A>(cell.c, lanes));
      if (saved) {
        A* values = saved + sample[r] * saved_width;
        for (int i = 0; i < Cell::kTraits.saved; ++i) store(values + i * unit_step, cell.saved[i], lanes, saved_past);
      }
      store_aligned(state + r * L, first_lanes<A>(cell.h, lanes));
      if (!projected) store(out + sample[r] * out_width, cell.h, lanes, out_past);
    }
  }

  void project_state(State& s, const Slice& slice, const Chunk& chunk, size_t k, int64_t alive, A* next, Factor<A>* scratch) {
    const int64_t step = slice.pitch() * L;
    multiply<A>({{s.m.get(), step}, depth_of<A>(1, p.H), w_hr.get(), hr_step, next, step, {}}, alive, PB, scratch);
    for (int64_t r = 0; r < alive; ++r) {
      for (int64_t b = 0; b < PB; ++b) {  // what the product left in the padded columns goes
        A* state = next + b * step + r * L;
        store_aligned(state, first_lanes<A>(load_aligned(state), lanes_in<A>(b, p.P)));
      }
      unpack_row(next + r * L, step, p.P, static_cast<S*>(to.out) + p.row(chunk.t[k], slice.sample[r]) * p.width());
    }
  }

  // hn and cn of the rows for which this step was the last one, of unit blocks begin to end (with a projection that is all of them).
  void finish_rows(const State& s, const Slice& slice, const Chunk& chunk, size_t k, const A* next, int64_t begin, int64_t end) {
    const int64_t t = chunk.t[k], alive = chunk.alive[k], step = slice.pitch() * L;
    const int64_t done_from = p.reverse ? slice.first_from(t, alive) : slice.last_from(t, alive);
    const auto write = [&](const A* from, void* target, int64_t columns, int64_t b0, int64_t b1) {
      for (int64_t r = done_from; r < alive; ++r) {
        S* row = static_cast<S*>(target) + slice.sample[r] * columns;
        for (int64_t b = b0; b < b1; ++b) store(row + b * L, load_aligned(from + b * step + r * L), lanes_in<A>(b, columns));
      }
    };
    write(next, to.hn, p.P, begin, p.w_hr ? PB : end);
    if constexpr (kTwoStates) write(s.c.get(), to.cn, p.H, begin, end);
  }

  // Of out, which is the caller's. Nobody reads saved there.
  void zero_padding(const Slice& slice) {
    if (p.first_row) return;
    slice.for_each_padding(p.T, [&](int64_t t, int64_t n, int64_t count) {
      const bool whole = p.width() == p.P;  // else the rows hold another direction, too
      for (int64_t i = 0; i < count; i += whole ? count : 1)
        std::memset(static_cast<S*>(to.out) + p.row(t, n + i) * p.width(), 0, (whole ? count : 1) * p.P * sizeof(S));
    });
  }
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
