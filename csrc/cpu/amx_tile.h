// AMX's tiles: the few instructions there are, and the sums that one panel of B takes.

namespace seqgrad::cpu::SEQGRAD_ISA {

constexpr int kMaxPanel = 4, kMostRows = 64;  // the latter in tiles of 16, which share what they read of B
constexpr int max_rows(int) { return kMostRows; }
inline int panel_of(int64_t, int64_t) { return kMaxPanel; }
inline int64_t row_begin(int64_t rows, int64_t, int64_t i) { return std::min(rows, i * kMostRows); }

constexpr int kPairs = 16;              // of depth in a tile
constexpr int64_t kTile = 32 * kPairs;  // elements
constexpr int64_t kDepth = 4;           // tiles of B that row tiles share at a time: of a panel, 16 KiB

// Tiles along a depth, which is counted in blocks of floats.
inline int64_t tiles_of(int64_t blocks) { return (blocks + 1) / 2; }

#if SEQGRAD_AMX_EMULATED
inline thread_local float emulated_tiles[8][256];
template <int N> void tile_load(const void* from, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(&emulated_tiles[N][r * 16], static_cast<const std::byte*>(from) + r * stride, 64);
}
template <int N> void tile_store(void* to, int64_t stride) {
  for (int r = 0; r < 16; ++r) std::memcpy(static_cast<std::byte*>(to) + r * stride, &emulated_tiles[N][r * 16], 64);
}
template <int N> void tile_zero() { std::memset(emulated_tiles[N], 0, sizeof(emulated_tiles[N])); }
template <int C, int A, int B> void tile_multiply() {
  const auto part = [](float pair, int i) {
    return bit_cast<float>(i ? bit_cast<uint32_t>(pair) & 0xffff0000u : bit_cast<uint32_t>(pair) << 16);
  };
  for (int r = 0; r < 16; ++r)
    for (int k = 0; k < kPairs; ++k)
      for (int c = 0; c < 16; ++c)
        for (int i = 0; i < 2; ++i)
          emulated_tiles[C][r * 16 + c] += part(emulated_tiles[A][r * 16 + k], i) * part(emulated_tiles[B][k * 16 + c], i);
}
struct TileUse {};
#else
// Not the compiler's own: theirs want the number of a tile as a literal, and do not say that a load reads memory.
template <int N> SEQGRAD_HD void tile_load(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(N) : "memory");
}
template <int N> SEQGRAD_HD void tile_store(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(N) : "memory");
}
template <int N> SEQGRAD_HD void tile_zero() { asm volatile("tilezero %%tmm%c0" ::"i"(N)); }
template <int C, int A, int B> SEQGRAD_HD void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

// While it lives, this thread's eight tiles are 16 rows of 64 bytes.
struct TileUse {
  TileUse() {
    struct alignas(64) {
      uint8_t palette = 1, start = 0, reserved[14] = {};
      uint16_t bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    for (int i = 0; i < 8; ++i) shape.bytes[i] = 64, shape.rows[i] = 16;
    asm volatile("ldtilecfg %0" ::"m"(shape));
  }
  ~TileUse() { asm volatile("tilerelease"); }
  TileUse(const TileUse&) = delete;
};
#endif

template <int P, class F>
SEQGRAD_HD void for_panel(F&& f) {
  f(std::integral_constant<int, 0>{});
  if constexpr (P > 1) f(std::integral_constant<int, 1>{});
  if constexpr (P > 2) f(std::integral_constant<int, 2>{});
  if constexpr (P > 3) f(std::integral_constant<int, 3>{});
}

// C [rows, P blocks] = start + A B over `depth` tiles. Tiles 0 to 3 hold the sums, 4 and 5 the parts of A, 6 and 7 B in
// turn.
template <int P>
void tile_kernel(int rows, int64_t depth, const Tile<float>& t) {
  constexpr int64_t kRow = 64;  // bytes
  const bool whole = rows == 16;
  alignas(64) float edge[P][16 * 16];  // for fewer rows: beyond them memory is another's
  for_panel<P>([&](auto p) {
    const float* start = t.start.at + p * t.start.step;
    if (!t.start.at) return tile_zero<p>();
    if (whole || !t.start.row) return tile_load<p>(start, t.start.row * int64_t(sizeof(float)));
    for (int r = 0; r < rows; ++r) store_aligned(edge[p] + r * 16, load_aligned(start + r * t.start.row));
    tile_load<p>(edge[p], kRow);
  });
  const BFloat16 *a = t.a, *b = t.b;
  const bool exact = t.a_step == kTile;
  for (; depth > 0; --depth, a += t.a_step, b += kTile) {
    tile_load<4>(a, kRow);
    if (!exact) tile_load<5>(a + kTile, kRow);
    for_panel<P>([&](auto p) {
      constexpr int kRight = 6 + p % 2;
      tile_load<kRight>(b + p * t.b_step, kRow);
      tile_multiply<p, 4, kRight>();
      if (!exact) tile_multiply<p, 5, kRight>();
    });
  }
  for_panel<P>([&](auto p) {
    float* c = t.c + p * t.c_step;
    if (whole) return tile_store<p>(c, kRow);
    tile_store<p>(edge[p], kRow);
    for (int r = 0; r < rows; ++r) store_aligned(c + r * 16, load_aligned(edge[p] + r * 16));
  });
}

// Up to 64 rows. Sums wait in C while the row tiles take their turns on kDepth tiles of B.
template <int P>
void run_panel(int rows, const Tile<float>& t) {
  const int64_t all = tiles_of(t.depth.blocks());
  for (int64_t k = 0; k < all || !k; k += kDepth)
    for (int r = 0; r < rows; r += 16) {
      float* c = t.c + r * 16;
      const Start<float> start =
          k ? Start<float>{c, t.c_step, 16} : Start<float>{t.start.at ? t.start.at + r * t.start.row : nullptr, t.start.step, t.start.row};
      tile_kernel<P>(std::min(rows - r, 16), std::min(all - k, kDepth),
                     {t.a + (r / 16 * all + k) * t.a_step, t.a_step, t.b + k * kTile, t.b_step, c, t.c_step, t.depth, start});
    }
}

template <class A>  // nothing is fetched ahead: level at best
void run_tile(int rows, int panel, const Tile<A>& t) {
  switch (panel) {
    case 1: return run_panel<1>(rows, t);
    case 2: return run_panel<2>(rows, t);
    case 3: return run_panel<3>(rows, t);
    default: return run_panel<4>(rows, t);
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
