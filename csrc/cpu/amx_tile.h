// AMX's tiles: the few instructions there are, and the sums that one panel of B takes.

namespace seqgrad::cpu::SEQGRAD_ISA {

#if SEQGRAD_AMX_FLOAT
constexpr int kParts = 3, kRightParts = 3;  // bfloat16 that make up an element of A, of B
#else
constexpr int kParts = 2, kRightParts = 1;
#endif
constexpr int kMaxPanel = 4, kMostRows = 64;  // the latter in tiles of 16, which share what they read of B
constexpr int64_t kTilesToFetch = std::numeric_limits<int64_t>::max();
constexpr int max_rows(int) { return kMostRows; }
// Four sums at a time: of one row tile or, where reading A again is cheaper than reading B, of two.
inline int64_t panel_of(int64_t rows, int64_t) { return kRightParts > 1 && rows > 16 ? 2 : kMaxPanel; }
inline int64_t row_begin(int64_t rows, int64_t, int64_t i) { return std::min(rows, i * kMostRows); }

constexpr int kPairs = 16;                            // of depth in a tile
constexpr int64_t kTile = 32 * kPairs;                // elements
constexpr int64_t kRightTile = kRightParts * kTile;   // of B, its parts one after the other
constexpr int64_t kDepth = kRightParts == 1 ? 4 : 2;  // of these, what row tiles share at a time: of a panel, 16 or 24 KiB
// Behind a row tile of A: a float for each of its rows, by which its sums are multiplied.
constexpr int64_t kScales = kRightParts == 1 ? 0 : 32;
SEQGRAD_HD bool all_ones(Vec<float> v) { return _mm512_cmpeq_epi32_mask(bit_cast<__m512i>(v), bit_cast<__m512i>(splat(1.0f))) == 0xffff; }
inline int64_t row_tile_size(int64_t depth, int64_t step) { return depth * step + kScales; }

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
    for (int c = 0; c < 16; ++c) {
      float sum[2] = {};  // the processor's order
      for (int k = 0; k < kPairs; ++k)
        for (int i = 0; i < 2; ++i) sum[i] += part(emulated_tiles[A][r * 16 + k], i) * part(emulated_tiles[B][k * 16 + c], i);
      emulated_tiles[C][r * 16 + c] += sum[0] + sum[1];
    }
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

template <int N, int I = 0, class F>
SEQGRAD_HD void for_each(F&& f) {  // f(0) to f(N - 1), as constants
  if constexpr (I < N) f(std::integral_constant<int, I>{}), for_each<N, I + 1>(f);
}

// Sums of R row tiles, [P blocks, sums_step apart][row][16] = from + A B over `depth` tiles. Tiles 0 to 3 hold them, 4 to 6 the
// parts of A.
template <int R, int P>
void tile_kernel(const Start<float>& from, int64_t depth, const Tile<float>& t, int64_t row_tile, float* sums, int64_t sums_step) {
  constexpr int64_t kRow = 64;  // bytes
  for_each<R>([&](auto r) {
    for_each<P>([&](auto p) {
      if (!from.at) tile_zero<r * P + p>();
      else tile_load<r * P + p>(from.at + p * from.step + r * 16 * from.row, from.row * int64_t(sizeof(float)));
    });
  });
  const BFloat16 *a = t.a, *b = t.b;
  [[maybe_unused]] const bool exact = t.a_step == kTile;
  for (; depth > 0; --depth, a += t.a_step, b += kRightTile) {
    for_each<R>([&](auto r) {
      const BFloat16* left = a + r * row_tile;
      tile_load<4>(left, kRow);
#if SEQGRAD_AMX_FLOAT
      tile_load<5>(left + kTile, kRow), tile_load<6>(left + 2 * kTile, kRow);
      for_each<P>([&](auto p) {  // of nine products the three least, 2^-24 of a term, are left out; the least of the others come first
        constexpr int c = r * P + p;
        const BFloat16* right = b + p * t.b_step;
        tile_load<7>(right + 2 * kTile, kRow);
        tile_multiply<c, 4, 7>();
        tile_load<7>(right + kTile, kRow);
        tile_multiply<c, 5, 7>(), tile_multiply<c, 4, 7>();
        tile_load<7>(right, kRow);
        tile_multiply<c, 6, 7>(), tile_multiply<c, 5, 7>(), tile_multiply<c, 4, 7>();
      });
#else
      if (!exact) tile_load<5>(left + kTile, kRow);
      for_each<P>([&](auto p) {
        constexpr int c = r * P + p, kRight = 6 + p % 2;
        tile_load<kRight>(b + p * t.b_step, kRow);
        tile_multiply<c, 4, kRight>();
        if (!exact) tile_multiply<c, 5, kRight>();
      });
#endif
    });
  }
  for_each<R>([&](auto r) { for_each<P>([&](auto p) { tile_store<r * P + p>(sums + p * sums_step + r * 256, kRow); }); });
}

// C [rows, P blocks] = start + A B, of up to 64 rows. Sums wait, in C if they may, while the row tiles take their turns on
// kDepth tiles of B. The start comes first or, where sums are to be scaled, last: the same for any number of rows.
template <int P>
void run_panel(int rows, const Tile<float>& t) {
  constexpr int R = kRightParts > 1 ? 4 / P : 1;
  const int64_t all = tiles_of(t.depth.blocks()), row_tile = row_tile_size(all, t.a_step);
  const auto scales = [&](int r) { return reinterpret_cast<const float*>(t.a + (r / 16 + 1) * row_tile - kScales); };
  bool in_place = rows % 16 == 0 && !(kScales && t.start.at);
  for (int r = 0; kScales && in_place && r < rows; r += 16) in_place = all_ones(load_aligned(scales(r)));
  alignas(64) float apart[P * kMostRows * 16];
  float* sums = in_place ? t.c : apart;
  const int64_t step = in_place ? t.c_step : kMostRows * 16;
  const auto start_at = [&](int p, int r) { return t.start.at + p * t.start.step + r * t.start.row; };
  Start<float> first = kScales ? Start<float>{} : t.start;
  if (first.at && !in_place) {  // a tile reads sixteen rows
    for (int r = 0; r < rows; ++r)
      for (int p = 0; p < P; ++p) store_aligned(sums + p * step + r * 16, load_aligned(start_at(p, r)));
    first = {sums, step, 16};
  }
  for (int64_t k = 0; k < all || !k; k += kDepth)
    for (int r = 0; r < rows; r += 16 * R) {
      Tile<float> part = t;
      part.a += r / 16 * row_tile + k * t.a_step, part.b += k * kRightTile;
      Start<float> from = k ? Start<float>{sums, step, 16} : first;
      if (from.at) from.at += r * from.row;
      const int count = std::min(R, (rows - r + 15) / 16);
      for_each<R>([&](auto i) {
        if (count == i + 1) tile_kernel<i + 1, P>(from, std::min(all - k, kDepth), part, row_tile, sums + r * 16, step);
      });
    }
  for (int r = 0; !in_place && r < rows; ++r)
    for (int p = 0; p < P; ++p) {
      Vec<float> sum = load_aligned(sums + p * step + r * 16);
      if (kScales) {
        sum *= splat(scales(r)[r % 16]);
        if (t.start.at) sum += load_aligned(start_at(p, r));
      }
      store_aligned(t.c + p * t.c_step + r * 16, sum);
    }
}

template <class A>  // nothing is fetched ahead: that takes the way on which the tiles' own loads come
void run_tile(int rows, int panel, const Tile<A>& t) {
  switch (panel) {
    case 1: return run_panel<1>(rows, t);
    case 2: return run_panel<2>(rows, t);
    case 3: return run_panel<3>(rows, t);
    default: return run_panel<4>(rows, t);
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
