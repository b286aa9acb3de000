// The inside of the emulator: a launch, its blocks, warps and threads, and the set of threads that could run.
// Only the runtime's own files include this. They allocate and free outside of fibers, so that TSan sees one owner.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fiber.h"
#include "runtime_calls.h"

namespace seqgrad::emulator {

// xorshift64*, seeded through splitmix64: the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  uint64_t below(uint64_t bound) { return next() % bound; }
  // 0 .. count - 1, shuffled.
  std::vector<uint32_t> permutation(uint32_t count);

 private:
  uint64_t state;
};

// Ranks of threads that could run: a bit set of three levels, so that the first one is found in three steps.
class ReadySet {
 public:
  void resize(uint32_t count);
  void insert(uint32_t rank);
  void erase(uint32_t rank);
  bool empty() const { return top.empty() || count == 0; }
  uint32_t size() const { return count; }
  uint32_t first() const { return from(0); }
  uint32_t at_or_after(uint32_t rank) const;  // wraps around

 private:
  uint32_t from(uint32_t rank) const;  // kNone when there is none
  static constexpr uint32_t kNone = ~0u;
  std::vector<uint64_t> bottom, middle, top;
  uint32_t count = 0;
};

enum class Wait : int { none, barrier, shuffle, vote, warp_barrier, wmma, counter };
const char* name(Wait wait);

struct Block;
struct Thread {
  Position at;
  Block* block = nullptr;
  Fiber fiber;
  uint32_t rank = 0;
  int index = 0;  // in the block
  bool finished = false;
  Wait wait = Wait::none;
  Where where;
  // of a warp collective
  uint64_t value = 0, result = 0;
  int source = 0;
  float* d = nullptr;
  const float *a = nullptr, *b = nullptr, *c = nullptr;
  // of asynchronous copies
  std::vector<Copy> copies;
  size_t copied = 0;
  // of spinning
  uint64_t seen = 0;  // state of all counters at the last load
};

// A meeting of lanes; meetings of disjoint masks may be open at once. Found under the lowest lane of its mask.
struct Meeting {
  unsigned mask = 0, arrived = 0;  // arrived == 0: not open
  Wait kind = Wait::none;
  Where where;
  unsigned generation = 0;
  char sync[2] = {};  // addresses for TSan, used in turn
};

struct Warp {
  unsigned absent = 0;  // lanes that have left, or never were
  Meeting meetings[32];
};

constexpr int64_t kGap = 128;
constexpr int kMaxArrays = 16;
// Around every array: NaN in every float type, and not the NaN that arrays begin with.
inline unsigned char canary(const volatile unsigned char* at) { return reinterpret_cast<uintptr_t>(at) % 2 ? 0x7f : 0xfd; }
struct SharedArray {
  int64_t offset, bytes;
  unsigned char* data;
};

struct Block {
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  int finished = 0;
  // barrier
  int arrived = 0;
  unsigned generation = 0;
  Where where;
  int first = 0;  // thread that arrived first
  char sync[2] = {};
  // shared memory: arrays with gaps between them
  unsigned char* arena = nullptr;
  int64_t arena_used = 0;
  SharedArray arrays[kMaxArrays];
  int array_count = 0;
};

struct Launch {
  const void* kernel = nullptr;
  Call call = nullptr;
  const void* params = nullptr;
  dim3 grid;
  int threads = 0;
  int64_t shared = 0, arena_bytes = 0;
  bool cooperative = false;
  std::vector<Block> blocks;     // those alive
  std::vector<Thread*> by_rank;  // of all their threads
  std::vector<uint32_t> block_order;
  size_t next_block = 0;             // place in that order
  std::vector<uint8_t> fragment[3];  // order of elements, by operand
  ReadySet ready;
  Thread* running = nullptr;
  Fiber main;
  Block* completed = nullptr;       // told to main
  std::vector<Thread*> idle;        // spinning until a counter changes
  uint64_t counter_version = 1;     // rises with every change of any counter
  bool progress = true;             // something other than spinning has happened since the idle were last woken
  std::string failure_text;         // what went wrong
  char start[1] = {}, end[1] = {};  // TSan: what main releases when a block begins, and all threads when they leave
};
extern Launch* current;  // null outside of a launch
extern int64_t switch_count;

// Stops running until another thread makes this one ready.
void suspend(Wait wait, const Where& where);
// Lets others go first, if the schedule says so.
void yield();
void make_ready(Thread& thread);

// Ends the launch with a report: unwinds the thread that noticed, and all others never run again.
struct Failed {};
[[noreturn]] void fail(const std::string& text);
std::string place(const Where& where);
std::string thread_name(const Thread& thread);
std::string deadlock_text(const Launch& launch);

// On the side of main.
void begin_block(Launch& launch, Block& slot);  // the next in the order
void end_block(Launch& launch, Block& block);
void leave_block(Thread& thread);  // in the leaving thread
void enter(void* thread);          // the whole life of a thread
void run_to_end(Launch& launch);

}  // namespace seqgrad::emulator
