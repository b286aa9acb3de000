// plan(): which path a layer takes, and how it is cut. Every way that fits is priced with cost.h, and the cheapest over
// all T steps is taken. What a block holds is layout.h's to say, what a step costs cost.h's. No torch, no CUDA.
#include "plan.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "cost.h"

namespace seqgrad::cuda {
namespace {

constexpr int64_t kMostBlocks = 2147483647;  // of a grid's first dimension
constexpr int64_t kMostSteps = 2147483647;   // resident kernels keep lengths in an int

struct Choice {
  bool fits = false;
  Path path = Path::step;
  Tiles tiles;
  Layout layout;
  Estimate cost;
  double total = 0;
  std::string why_not;
};

int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

std::string kib(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f KiB", static_cast<double>(bytes) / 1024);
  return text;
}

std::string us(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 1000 ? "%.3g us" : "%.0f us", value);
  return text;
}

class Planner {
 public:
  Planner(const Question& question, const DeviceLimits& limits)
      : q(question), device(limits), cell(kCells[static_cast<int>(q.cell)].traits), half(q.dtype != DType::float32),
        max_threads(static_cast<int>(std::min<int64_t>(kMaxThreads, limits.registers_per_multiprocessor / kRegisters / 32 * 32))) {}

  // Why no resident kernel can serve, whatever the sizes; empty if one may.
  std::string refusal() const {
    const std::string capability = std::to_string(device.major) + "." + std::to_string(device.minor);
    if (q.T == 0 || q.N == 0 || q.H == 0) return "there is nothing to do";
    if (q.T > kMostSteps) return std::to_string(q.T) + " steps are more than resident kernels count";
    if (q.dtype == DType::float64) return "float64 has no resident kernels";
    if (q.P != q.H) return "a projected state (proj_size " + std::to_string(q.P) + ") has no resident kernels";
    if (q.dtype == DType::bfloat16 && device.major < 8)
      return "bfloat16 on tensor cores needs compute capability 8.0, the device has " + capability;
    if (q.dtype == DType::float16 && device.major < 7)
      return "float16 on tensor cores needs compute capability 7.0, the device has " + capability;
    if (device.multiprocessors < 1 || max_threads < 32) return "the device offers no room for a block";
    return "";
  }

  // One block per group of samples, all units in it.
  Choice block() const {
    Tiles tiles;
    tiles.units = q.H;
    Choice best;
    best.path = Path::block;
    const int64_t least = smallest(tiles, 1);
    if (least > device.shared_per_block) {
      best.why_not = "one block would need " + kib(least) + " of shared memory and has " + kib(device.shared_per_block);
      return best;
    }
    if (max_rows(q.H) < 1) {
      best.why_not = std::to_string(q.H) + " units of one sample are more than the registers of one block hold";
      return best;
    }
    // The most rows that fit, but no more than keep every multiprocessor busy.
    int64_t low = 1, high = std::min(ceil_div(q.N, device.multiprocessors), max_rows(q.H));
    while (low < high) {
      const int64_t middle = low + (high - low + 1) / 2;
      if (smallest(tiles, middle) <= device.shared_per_block) low = middle;
      else high = middle - 1;
    }
    set_rows(tiles, low);
    if (tiles.groups > kMostBlocks) {
      best.why_not = "a batch of " + std::to_string(q.N) + " needs more blocks than one launch may have";
      return best;
    }
    consider(tiles, best);
    return best;
  }

  // Slices of units over many blocks, all of them resident at once: one block per multiprocessor is certain.
  Choice grid() const {
    Choice best;
    best.path = Path::grid;
    if (!device.cooperative_launch) {
      best.why_not = "the device cannot launch cooperatively";
      return best;
    }
    if (q.H < 2) {
      best.why_not = "a single unit cannot be cut into slices";
      return best;
    }
    int64_t considered = 0, least_bytes = 0;
    for (int64_t groups = 1; groups <= std::min<int64_t>(device.multiprocessors / 2, q.N); ++groups) {
      // More groups cut the units coarser: that must save a tile of rows, or half of the exchange.
      const int64_t rows = ceil_div(q.N, groups), tile = half ? 16 : 4;
      if (round_up(rows, tile) == round_up(considered, tile) && 2 * rows > considered) continue;
      considered = rows;
      for (int64_t units : slice_widths(groups)) {
        Tiles tiles;
        tiles.units = units, tiles.slices = ceil_div(q.H, units);
        if (tiles.slices < 2 || rows > max_rows(units)) continue;
        set_rows(tiles, rows);
        const int64_t bytes = smallest(tiles, rows);
        if (least_bytes == 0 || bytes < least_bytes) least_bytes = bytes;
        if (bytes <= device.shared_per_block) consider(tiles, best);
      }
    }
    if (!best.fits) best.why_not = why_no_grid(least_bytes);
    return best;
  }

  Choice step() const {
    Choice c;
    c.fits = true;
    c.cost = estimate_step(q, device);
    c.total = c.cost.total(q.T);
    return c;
  }

 private:
  const Question& q;
  const DeviceLimits& device;
  const CellTraits& cell;
  const bool half;
  const int max_threads;

  int64_t max_rows(int64_t units) const { return std::max<int64_t>(0, int64_t{kMaxPairs} * max_threads / padded_units(units)); }
  int64_t k_padded() const { return round_up(q.pass == Pass::forward ? q.H : cell.gates * q.H, k_step(q.dtype)); }
  Layout layout(const Tiles& tiles) const { return make_layout(q.pass, cell.gates, cell.split, q.dtype, q.H, tiles); }

  void set_rows(Tiles& tiles, int64_t rows) const {
    tiles.rows = std::max<int64_t>(1, rows);
    tiles.groups = ceil_div(q.N, tiles.rows);
  }

  // Shared memory of the most frugal way to hold `rows` samples: the bound that tells whether anything fits.
  int64_t smallest(Tiles tiles, int64_t rows) const {
    // Far beyond any device, and beyond what the layout's arithmetic could count.
    constexpr double kAbsurd = 1e15;
    const double weights = static_cast<double>(k_padded()) * static_cast<double>(tiles.units) * cell.gates;
    if (weights > kAbsurd) return static_cast<int64_t>(kAbsurd);
    tiles.rows = rows, tiles.row_tile = half ? 16 : 4, tiles.k_parts = 1;
    tiles.k_chunk = tiles.slices > 1 ? std::min<int64_t>(64, k_padded()) : k_padded();
    return layout(tiles).bytes;
  }

  // Units per slice worth a look: as few as the multiprocessors allow, and wider ones, which exchange less. Whole
  // tiles of columns cost nothing to fill.
  std::vector<int64_t> slice_widths(int64_t groups) const {
    const int64_t least = ceil_div(q.H, device.multiprocessors / groups);
    const int64_t columns = column_step(q.dtype), gates = q.pass == Pass::forward ? cell.gates : 1;
    const int64_t multiple = columns / std::gcd(columns, gates);
    std::vector<int64_t> widths{least};
    for (int64_t factor : {1, 2, 4})
      if (const int64_t width = round_up(least * factor, multiple); width > widths.back() && width < q.H) widths.push_back(width);
    return widths;
  }

  std::string why_no_grid(int64_t least_bytes) const {
    const std::string processors = std::to_string(device.multiprocessors) + " multiprocessors";
    if (device.multiprocessors < 2) return "the device has a single multiprocessor";
    if (least_bytes == 0)
      return "the states of " + std::to_string(q.N) + " samples and " + std::to_string(q.H) + " units are more than the registers of " +
             processors + " hold";
    return "even cut over " + processors + " a block would need " + kib(least_bytes) + " of shared memory and has " +
           kib(device.shared_per_block);
  }

  // All of K if it fits, else the largest multiple of 64 columns that does; false if none does.
  bool set_chunk(Tiles& tiles) const {
    tiles.k_chunk = k_padded();
    if (layout(tiles).bytes <= device.shared_per_block) return true;
    if (tiles.slices == 1) return false;
    Tiles least = tiles;
    least.k_chunk = 64;
    const Layout l = layout(least);
    const int64_t size = element_size(q.dtype), taken = l.bytes - round_up(l.operand * size, 128);
    const int64_t room = std::max<int64_t>(0, device.shared_per_block - taken) / 128 * 128;
    tiles.k_chunk = (room / size / l.r_padded - (half ? 8 : 4)) / 64 * 64;
    return tiles.k_chunk >= 64 && tiles.k_chunk < k_padded();
  }

  // Tries row tiles, threads and shares of K for given rows and units, and keeps the cheapest in `best`.
  void consider(Tiles tiles, Choice& best) const {
    for (int row_tile : {4, 16}) {
      if (half && row_tile == 4) continue;
      tiles.row_tile = row_tile;
      for (int threads : {64, 128, 256}) {
        if (threads > max_threads || tiles.rows * padded_units(tiles.units) > int64_t{kMaxPairs} * threads) continue;
        tiles.threads = threads;
        tiles.k_parts = shares_of_k(tiles);
        bool fits = set_chunk(tiles);
        for (; !fits && tiles.k_parts > 1; fits = set_chunk(tiles)) tiles.k_parts /= 2;
        if (!fits) continue;
        tiles.k_parts = static_cast<int>(std::clamp<int64_t>(tiles.k_chunk / 16, 1, tiles.k_parts));
        price(tiles, best);
      }
    }
  }

  // So many that every warp has an item of work, each with at least 16 columns of K.
  int shares_of_k(const Tiles& tiles) const {
    const Layout l = layout(tiles);
    const int64_t items = l.r_padded / tiles.row_tile * ceil_div(l.c_padded, column_tile(q.dtype, tiles.row_tile));
    return static_cast<int>(std::clamp<int64_t>(tiles.threads / 32 / items, 1, ceil_div(l.k_padded, 16)));
  }

  void price(const Tiles& tiles, Choice& best) const {
    const Layout l = layout(tiles);
    if (l.bytes > device.shared_per_block) throw std::logic_error("seqgrad: a plan outgrew the shared memory it was made for");
    const Estimate cost = estimate_resident(q, device, tiles, l);
    const double total = cost.total(q.T);
    if (best.fits && total >= best.total) return;
    best.fits = true, best.tiles = tiles, best.layout = l, best.cost = cost, best.total = total;
  }
};

double bid(const Choice& c) { return c.total * (c.path == Path::grid ? kGridDoubt : 1); }

std::string price_tag(const Choice& c) {
  return us(c.cost.step_us) + " a step" + (c.cost.fixed_us > 0 ? " and " + us(c.cost.fixed_us) + " once" : "");
}

std::string describe(const Choice& c, const DeviceLimits& device) {
  const Tiles& t = c.tiles;
  const std::string cost = ", about " + price_tag(c) + " by estimate";
  if (c.path == Path::step) return "a product and a pointwise kernel per step" + cost;
  const std::string blocks = std::to_string(t.slices * t.groups) + (t.slices * t.groups == 1 ? " block" : " blocks");
  const std::string kept = " (" + kib(c.layout.bytes) + " of " + kib(device.shared_per_block) + ")" + cost;
  if (c.path == Path::block) return "W_hh stays in the shared memory of " + blocks + kept;
  return "W_hh stays in the shared memory of " + blocks + ", " + std::to_string(t.units) + " units each" + kept;
}

Plan as_plan(const Question& q, const Choice& c) {
  Plan plan;
  plan.path = c.path;
  if (c.path == Path::step) return plan;
  plan.tiles = c.tiles;
  plan.shared_bytes = c.layout.bytes;
  if (c.path == Path::block) return plan;
  plan.workspace_bytes = c.tiles.groups * kCounterBytes;
  if (q.pass == Pass::backward) plan.workspace_bytes += partial_norms(c.tiles) * static_cast<int64_t>(sizeof(double));
  plan.barriers = q.pass == Pass::forward ? q.T - 1 : q.T * (q.clip_norm ? 2 : 1);
  return plan;
}

void check(const Question& q, const std::string& wish) {
  if (wish != "auto" && wish != "block" && wish != "grid" && wish != "step")
    throw std::invalid_argument("seqgrad: SEQGRAD_CUDA_PATH must be auto, block, grid or step, got '" + wish + "'");
  for (int64_t size : {q.T, q.N, q.H, q.P})
    if (size < 0 || size > (int64_t{1} << 40))
      throw std::invalid_argument("seqgrad: a plan needs sizes T, N, H, P from 0 to 2^40, got " + std::to_string(q.T) + ", " +
                                  std::to_string(q.N) + ", " + std::to_string(q.H) + ", " + std::to_string(q.P));
}

}  // namespace

Plan plan(const Question& question, const DeviceLimits& limits, const std::string& wish) {
  check(question, wish);
  const Planner planner(question, limits);
  const std::string refusal = planner.refusal();
  const Choice step = planner.step();
  if (!refusal.empty()) {
    Plan only = as_plan(question, step);
    only.reason = (wish == "block" || wish == "grid" ? wish + " was asked for, but " : "") + refusal + ": " + describe(step, limits);
    return only;
  }
  const Choice choices[] = {planner.block(), planner.grid(), step};
  const Choice* chosen = nullptr;
  for (const Choice& c : choices)
    if (c.fits && (!chosen || bid(c) < bid(*chosen))) chosen = &c;
  std::string asides;
  for (const Choice& c : choices) {
    const std::string path = name(c.path);
    if (path == wish && c.fits) chosen = &c;
    if (path == wish && !c.fits) asides += path + " was asked for, but " + c.why_not + "; ";
  }
  Plan result = as_plan(question, *chosen);
  result.reason = asides + describe(*chosen, limits);
  for (const Choice& c : choices) {
    const std::string path = name(c.path);
    if (&c == chosen || (path == wish && !c.fits)) continue;
    result.reason += "; " + path + ": " + (c.fits ? price_tag(c) : c.why_not);
  }
  return result;
}

const char* name(Path path) { return path == Path::block ? "block" : path == Path::grid ? "grid" : "step"; }

}  // namespace seqgrad::cuda
