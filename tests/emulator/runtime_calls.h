// What kernels under emulation call: the seam between emulator.h (inline, compiled and instrumented with the kernel) and
// the runtime (scheduler.cpp and its neighbours, never instrumented by TSan). Only emulator.h and wmma.h include this.
#pragma once

#include <vector_types.h>

#include <cstdint>
#include <source_location>

namespace seqgrad::emulator {

using Where = std::source_location;

struct Position {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};
extern const Position* position;  // of the running CUDA thread

void sync_threads(const Where& where);
void sync_warp(unsigned mask, const Where& where);

// A shuffle: `value` is handed in, that of lane `source` comes back. kOwnLane: one's own.
constexpr int kOwnLane = -1;
uint64_t shuffle(unsigned mask, uint64_t value, int source, const Where& where);
int lane();

// Bit i: the predicate of lane i.
unsigned ballot(unsigned mask, bool predicate, const Where& where);

void fence(const Where& where);
unsigned counter_add(unsigned* counter, unsigned value, bool acquire, bool release, const Where& where);
unsigned counter_load(unsigned* counter, bool acquire, const Where& where);
void counter_store(unsigned* counter, unsigned value, bool release, const Where& where);

// The `index`-th array that a thread takes; `offset` bytes of the block's memory are gone by then.
void* take_shared(int index, int64_t offset, int64_t bytes, const Where& where);

// Copies that the thread has asked for and not yet waited for, in order; false: none is left.
struct Copy {
  void* to;
  const void* from;
};
void copy_later(void* to, const void* from);
bool next_copy(Copy* copy);

// Fragments of 16 x 16: lane and slot of an element are permuted, anew for every launch. order[8 * lane + slot] is the
// element, 16 * row + column.
enum class Operand : int { a, b, accumulator };
constexpr int kFragmentSlots = 8;
const uint8_t* fragment_order(Operand operand);

// d = a b + c over the warp, each array kFragmentSlots long.
void multiply_fragments(float* d, const float* a, const float* b, const float* c, const Where& where);

// All 32 lanes meet here, as for every wmma operation; orders no memory.
void meet_warp(const Where& where);

[[noreturn]] void fail_at(const Where& where, const char* what);

using Call = void (*)(void* kernel, const void* params);
// An error code of the CUDA runtime.
int run_kernel(const void* kernel, Call call, const void* params, dim3 grid, int threads, int64_t shared, bool cooperative);

}  // namespace seqgrad::emulator
