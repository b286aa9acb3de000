// One launch from start to end: what the driver would refuse, blocks and their memory, the report if something is wrong.
#include <algorithm>
#include <mutex>
#include <numeric>

#include "control.h"
#include "cuda/layout.h"
#include "cudart.h"
#include "scheduler.h"

namespace seqgrad::emulator {
namespace {

constexpr int64_t kReservedPerBlock = 1024;

Schedule chosen;
cuda::DeviceLimits modelled{.major = 9,
                            .minor = 0,
                            .multiprocessors = 132,
                            .shared_per_block = 232448,
                            .shared_per_multiprocessor = 233472,
                            .registers_per_multiprocessor = 65536,
                            .l2_bytes = 50 << 20,
                            .cooperative_launch = true};
Counts totals{};

int threads_per_multiprocessor() {
  const int version = modelled.major * 10 + modelled.minor;
  return version == 75 ? 1024 : version == 86 || version == 89 || version >= 120 ? 1536 : 2048;
}

int64_t co_resident(int threads, int64_t shared) {
  const int64_t rounded = (threads + 31) / 32 * 32;
  const int64_t reserved = modelled.major >= 8 ? kReservedPerBlock : 0;
  const int64_t by_shared = shared + reserved > 0 ? modelled.shared_per_multiprocessor / (shared + reserved) : 32;
  const int64_t by_registers = modelled.registers_per_multiprocessor / (rounded * cuda::kRegisters);
  return modelled.multiprocessors * std::min({by_shared, by_registers, threads_per_multiprocessor() / rounded, int64_t(16)});
}

cudaError_t refused(cudaError_t code, const std::string& why) {
  set_refusal(code, why);
  return code;
}

cudaError_t check(const void* kernel, dim3 grid, int threads, int64_t shared, bool cooperative) {
  const int64_t blocks = int64_t(grid.x) * grid.y * grid.z;
  if (threads < 1 || threads > 1024 || blocks < 1 || grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffffu)
    return refused(cudaErrorInvalidConfiguration,
                   "a launch of " + std::to_string(blocks) + " blocks of " + std::to_string(threads) + " threads");
  const int64_t allowed = std::max<int64_t>(48 * 1024, opted_in(kernel));
  if (shared < 0 || shared > allowed)
    return refused(cudaErrorInvalidValue,
                   std::to_string(shared) + " bytes of shared memory per block, allowed are " + std::to_string(allowed));
  if (!cooperative) return cudaSuccess;
  if (!modelled.cooperative_launch) return refused(cudaErrorNotSupported, "the device has no cooperative launch");
  const int64_t most = co_resident(threads, shared);
  if (blocks > most)
    return refused(cudaErrorCooperativeLaunchTooLarge, "a cooperative grid of " + std::to_string(blocks) + " blocks of " +
                                                           std::to_string(threads) + " threads and " + std::to_string(shared) +
                                                           " bytes; the device holds " + std::to_string(most) + " at once");
  return cudaSuccess;
}

// ---- ranks ----------------------------------------------------------------------------------------------------------

std::vector<uint32_t> warp_ranks(uint32_t blocks, uint32_t threads, Random& random) {
  const uint32_t warps = (threads + 31) / 32;
  const bool backwards = random.below(2) != 0;
  std::vector<uint32_t> order;  // slot of each rank
  for (const uint32_t block : random.permutation(blocks))
    for (const uint32_t warp : random.permutation(warps)) {
      const uint32_t begin = block * threads + warp * 32, end = std::min(begin + 32, (block + 1) * threads);
      for (uint32_t i = begin; i < end; ++i) order.push_back(backwards ? begin + end - 1 - i : i);
    }
  return order;
}

void rank_threads(Launch& l, Random& random) {
  const auto blocks = uint32_t(l.blocks.size()), threads = uint32_t(l.threads), total = blocks * threads;
  std::vector<uint32_t> order(total);
  std::iota(order.begin(), order.end(), 0u);
  if (chosen.policy == Policy::reverse) std::reverse(order.begin(), order.end());
  if (chosen.policy == Policy::uniform || chosen.policy == Policy::thread_priorities) order = random.permutation(total);
  if (chosen.policy == Policy::warp_priorities) order = warp_ranks(blocks, threads, random);
  l.by_rank.resize(total);
  for (uint32_t rank = 0; rank < total; ++rank) {
    Thread& thread = l.blocks[order[rank] / threads].threads[order[rank] % threads];
    thread.rank = rank;
    l.by_rank[rank] = &thread;
  }
  l.ready.resize(total);
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

// All blocks of a cooperative launch live at once; of a plain one, one to three, as the seed has it.
void make_blocks(Launch& l, Random& random) {
  const int64_t total = int64_t(l.grid.x) * l.grid.y * l.grid.z;
  const bool random_policy = chosen.policy != Policy::in_order && chosen.policy != Policy::reverse;
  l.blocks.resize(l.cooperative ? total : std::min<int64_t>(total, random_policy ? 1 + random.below(3) : 1));
  l.block_order.resize(total);
  std::iota(l.block_order.begin(), l.block_order.end(), 0u);
  if (!l.cooperative && chosen.policy == Policy::reverse) std::reverse(l.block_order.begin(), l.block_order.end());
  if (!l.cooperative && random_policy) l.block_order = random.permutation(uint32_t(total));
  l.arena_bytes = kGap + l.shared + kMaxArrays * kGap;
  for (Block& block : l.blocks) {
    block.threads.resize(l.threads);
    block.warps.resize((l.threads + 31) / 32);
    for (int i = 0; i < l.threads; ++i) {
      block.threads[i].index = i, block.threads[i].block = &block;
      block.threads[i].copies.reserve(64);  // so that hardly ever a fiber allocates
    }
  }
  l.idle.reserve(l.blocks.size() * l.threads);
}

void forget_arena(Launch& l, Block& block) {
  if (block.arena) unmap_memory(block.arena, l.arena_bytes);
  block.arena = nullptr;
}

// Not memset, which TSan would take for an access by main.
void fill(unsigned char* from, int64_t bytes, unsigned char value) {
  auto* at = reinterpret_cast<volatile uint64_t*>(from);
  for (int64_t i = 0; i < bytes / 8; ++i) at[i] = value * 0x0101010101010101u;
}

// All threads, those cut short included: what they wrote happens before whatever main does next.
void bury(Launch& l) {
  for (Block& block : l.blocks)
    for (Thread& thread : block.threads) {
      if (!thread.fiber.stack) continue;
      tsan_release_for(thread.fiber, l.end);
      abandon(thread.fiber, thread.finished);
    }
  tsan_acquire(l.end);
  for (Block& block : l.blocks) forget_arena(l, block);
}

void run(Launch& l) {
  Random random(chosen.seed * 1000003 + uint64_t(totals.launches));
  make_blocks(l, random);
  rank_threads(l, random);
  for (auto& fragment : l.fragment) {
    const auto order = random.permutation(256);
    fragment.assign(order.begin(), order.end());
  }
  adopt(l.main);
  current = &l;
  try {
    run_to_end(l);
  } catch (...) {
    bury(l);
    current = nullptr;
    throw;
  }
  bury(l);
  current = nullptr;
  position = nullptr;
  if (l.failure_text.empty()) return;
  throw Report(l.failure_text + " (grid " + std::to_string(l.grid.x) + " x " + std::to_string(l.grid.y) + " x " + std::to_string(l.grid.z) +
               ", " + std::to_string(l.threads) + " threads, " + (l.cooperative ? "cooperative" : "plain") + ", schedule " +
               name(chosen.policy) + " with seed " + std::to_string(chosen.seed) + ")");
}

}  // namespace

void begin_block(Launch& l, Block& block) {
  const uint32_t index = l.block_order[l.next_block++];
  const unsigned x = index % l.grid.x, y = index / l.grid.x % l.grid.y, z = index / l.grid.x / l.grid.y;
  block.finished = block.arrived = block.array_count = 0;
  block.arena_used = kGap;
  if (l.shared) {
    block.arena = map_memory(l.arena_bytes);
    fill(block.arena, l.arena_bytes, 0xff);  // NaN in every float type
    for (volatile unsigned char* at = block.arena; at < block.arena + kGap; ++at) *at = canary(at);
    poison(block.arena, l.arena_bytes);
  }
  for (Warp& warp : block.warps) warp = Warp{};
  if (const int rest = l.threads % 32) block.warps.back().absent = ~0u << rest;
  for (Thread& thread : block.threads) {
    thread.at = {{unsigned(thread.index), 0, 0}, {x, y, z}, dim3(l.threads), l.grid};
    thread.finished = false;
    thread.seen = 0;
    thread.copies.clear();
    thread.copied = 0;
    prepare(thread.fiber, enter, &thread);
    make_ready(thread);
  }
  tsan_release(l.start);
}

// A plain build sees only writes just past the ends; ASan has seen every access at once.
void end_block(Launch& l, Block& block) {
  for (Thread& thread : block.threads) abandon(thread.fiber, true);
  if (!block.arena) return;
  unpoison(block.arena, l.arena_bytes);
  const auto intact = [](const unsigned char* from, const unsigned char* end) {
    while (from < end && *from == canary(from)) ++from;
    return from == end;
  };
  if (!intact(block.arena, block.arena + kGap)) l.failure_text = "a write before the first shared array";
  for (int i = 0; i < block.array_count; ++i) {
    const SharedArray& array = block.arrays[i];
    if (!intact(array.data + array.bytes, array.data + (array.bytes + 127) / 128 * 128 + kGap))
      l.failure_text = "a write past the end of shared array " + std::to_string(i) + " of " + std::to_string(array.bytes) + " bytes";
  }
  forget_arena(l, block);
}

int run_kernel(const void* kernel, Call call, const void* params, dim3 grid, int threads, int64_t shared, bool cooperative) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const cudaError_t error = check(kernel, grid, threads, shared, cooperative);
  if (error != cudaSuccess) return error;
  ++totals.launches;
  totals.cooperative += cooperative;
  Launch l;
  l.kernel = kernel, l.call = call, l.params = params, l.grid = grid, l.threads = threads, l.shared = (shared + 127) / 128 * 128;
  l.cooperative = cooperative;
  run(l);
  return cudaSuccess;
}

const char* name(Policy policy) {
  switch (policy) {
    case Policy::in_order: return "in order";
    case Policy::reverse: return "reverse";
    case Policy::uniform: return "uniform";
    case Policy::thread_priorities: return "thread priorities";
    case Policy::warp_priorities: return "warp priorities";
  }
  return "";
}

void set_schedule(const Schedule& to) { chosen = to, totals.launches = 0; }
const Schedule& schedule() { return chosen; }
void set_device(const cuda::DeviceLimits& limits) { modelled = limits; }
const cuda::DeviceLimits& device() { return modelled; }
Counts counts() { return {totals.launches, totals.cooperative, switch_count}; }

}  // namespace seqgrad::emulator
