// What the threads of a block do together: barriers, warp collectives, counters, shared memory.
// Runs in fibers, so nothing here allocates, fills or copies through library calls unless the launch is failing.
#include <bit>
#include <cstring>

#include "control.h"
#include "scheduler.h"

namespace seqgrad::emulator {
namespace {

bool same(const Where& a, const Where& b) {
  return a.line() == b.line() && a.column() == b.column() && (a.file_name() == b.file_name() || !std::strcmp(a.file_name(), b.file_name()));
}

Warp& warp_of(Thread& thread) { return thread.block->warps[thread.index / 32]; }
Thread& lane_of(Thread& thread, int lane) { return thread.block->threads[thread.index / 32 * 32 + lane]; }

void multiply(Thread& any) {  // in the last lane to arrive: all others wait, their fragments lie still
  float a[16][16], b[16][16], c[16][16];
  const uint8_t* order[3];
  for (int i = 0; i < 3; ++i) order[i] = fragment_order(Operand(i));
  for (int l = 0; l < 32; ++l) {
    const Thread& lane = lane_of(any, l);
    for (int i = 0; i < kFragmentSlots; ++i) {
      const int at = l * kFragmentSlots + i;
      a[order[0][at] / 16][order[0][at] % 16] = lane.a[i];
      b[order[1][at] / 16][order[1][at] % 16] = lane.b[i];
      c[order[2][at] / 16][order[2][at] % 16] = lane.c[i];
    }
  }
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < 16; ++k)
      for (int column = 0; column < 16; ++column) c[row][column] += a[row][k] * b[k][column];
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < kFragmentSlots; ++i) {
      const int element = order[2][l * kFragmentSlots + i];
      lane_of(any, l).d[i] = c[element / 16][element % 16];
    }
}

void complete(Meeting& m, Thread& last) {
  unsigned votes = 0;
  for (int l = 0; l < 32; ++l)
    if (m.mask >> l & 1) votes |= unsigned(lane_of(last, l).value != 0) << l;
  for (int l = 0; l < 32; ++l) {
    if (!(m.mask >> l & 1)) continue;
    Thread& lane = lane_of(last, l);
    if (m.kind == Wait::vote) lane.result = votes;
    if (m.kind != Wait::shuffle) continue;
    const int source = lane.source == kOwnLane ? l : lane.source;
    if (!(m.mask >> source & 1))
      fail("a shuffle at " + place(m.where) + ": lane " + std::to_string(l) + " reads lane " + std::to_string(source) +
           ", which the mask leaves out");
    lane.result = lane_of(last, source).value;
  }
  if (m.kind == Wait::wmma && last.d) multiply(last);
  m.arrived = 0;
  ++m.generation;
  for (int l = 0; l < 32; ++l)
    if ((m.mask >> l & 1) && &lane_of(last, l) != &last) make_ready(lane_of(last, l));
}

[[noreturn]] void wrong_mask(const char* what, unsigned mask, Wait kind, const Where& where) {
  char hex[16];
  std::snprintf(hex, sizeof hex, "0x%08x", mask);
  fail(std::string(name(kind)) + " at " + place(where) + " with mask " + hex + " " + what);
}

void meet(unsigned mask, Wait kind, const Where& where, bool ordered) {
  Thread& self = *current->running;
  Warp& warp = warp_of(self);
  const int lane = self.index % 32;
  current->progress = true;
  if (!(mask >> lane & 1)) wrong_mask("that leaves out the calling lane", mask, kind, where);
  if (mask & warp.absent) wrong_mask("names a lane that has left the kernel or does not exist", mask, kind, where);
  Meeting& m = warp.meetings[std::countr_zero(mask)];
  for (const Meeting& other : warp.meetings) {
    if (!other.arrived || !(other.mask & mask)) continue;
    if (other.mask != mask || other.kind != kind || !same(other.where, where))
      wrong_mask(("meets lanes of the same warp in a " + std::string(name(other.kind)) + " at " + place(other.where)).c_str(), mask, kind,
                 where);
  }
  if (!m.arrived) m.mask = mask, m.kind = kind, m.where = where;
  char* sync = &m.sync[m.generation % 2];
  if (ordered) tsan_release(sync);
  m.arrived |= 1u << lane;
  if (m.arrived == m.mask) {
    complete(m, self);
    yield();
  } else {
    suspend(kind, where);
  }
  if (ordered) tsan_acquire(sync);
}

}  // namespace

const char* name(Wait wait) {
  switch (wait) {
    case Wait::none: return "nothing";
    case Wait::barrier: return "__syncthreads";
    case Wait::shuffle: return "shuffle";
    case Wait::vote: return "vote";
    case Wait::warp_barrier: return "__syncwarp";
    case Wait::wmma: return "wmma operation";
    case Wait::counter: return "counter that does not change";
  }
  return "";
}

void sync_threads(const Where& where) {
  Thread& self = *current->running;
  Block& b = *self.block;
  current->progress = true;
  if (b.finished) fail("__syncthreads at " + place(where) + " after another thread of the block has left the kernel");
  if (!b.arrived) b.where = where, b.first = self.index;
  if (!same(b.where, where))
    fail("divergent barrier: __syncthreads at " + place(where) + " while thread " + std::to_string(b.first) + " of the block waits at " +
         place(b.where));
  char* sync = &b.sync[b.generation % 2];
  tsan_release(sync);
  if (++b.arrived < int(b.threads.size())) {
    suspend(Wait::barrier, where);
  } else {
    b.arrived = 0;
    ++b.generation;
    for (Thread& thread : b.threads)
      if (&thread != &self) make_ready(thread);
    yield();
  }
  tsan_acquire(sync);
}

void sync_warp(unsigned mask, const Where& where) { meet(mask, Wait::warp_barrier, where, true); }
void meet_warp(const Where& where) {
  current->running->d = nullptr;
  meet(~0u, Wait::wmma, where, false);
}

uint64_t shuffle(unsigned mask, uint64_t value, int source, const Where& where) {
  Thread& self = *current->running;
  self.value = value, self.source = source;
  meet(mask, Wait::shuffle, where, false);
  return self.result;
}

unsigned ballot(unsigned mask, bool predicate, const Where& where) {
  Thread& self = *current->running;
  self.value = predicate;
  meet(mask, Wait::vote, where, false);
  return unsigned(self.result);
}

void multiply_fragments(float* d, const float* a, const float* b, const float* c, const Where& where) {
  Thread& self = *current->running;
  self.d = d, self.a = a, self.b = b, self.c = c;
  meet(~0u, Wait::wmma, where, false);
}

void copy_later(void* to, const void* from) { current->running->copies.push_back({to, from}); }

bool next_copy(Copy* copy) {
  Thread& self = *current->running;
  if (self.copied == self.copies.size()) {
    self.copies.clear();
    self.copied = 0;
    return false;
  }
  *copy = self.copies[self.copied++];
  return true;
}

int lane() { return current->running->index % 32; }
const uint8_t* fragment_order(Operand operand) { return current->fragment[int(operand)].data(); }
void fence(const Where&) { yield(); }

namespace {

void counter_changed() {
  Launch& l = *current;
  ++l.counter_version;
  l.progress = true;
  for (Thread* thread : l.idle) make_ready(*thread);
  l.idle.clear();
}

void check_counter(const unsigned* counter, const Where& where) {
  if (!counter || reinterpret_cast<uintptr_t>(counter) % sizeof(unsigned)) fail_at(where, "a counter at a null or misaligned address");
}

}  // namespace

unsigned counter_add(unsigned* counter, unsigned value, bool acquire, bool release, const Where& where) {
  check_counter(counter, where);
  yield();
  if (release) tsan_release(counter);
  const unsigned before = *counter;
  *counter = before + value;
  if (acquire) tsan_acquire(counter);
  counter_changed();
  yield();
  return before;
}

void counter_store(unsigned* counter, unsigned value, bool release, const Where& where) {
  check_counter(counter, where);
  yield();
  if (release) tsan_release(counter);
  *counter = value;
  counter_changed();
  yield();
}

unsigned counter_load(unsigned* counter, bool acquire, const Where& where) {
  check_counter(counter, where);
  Thread& self = *current->running;
  if (self.seen == current->counter_version) {
    current->idle.push_back(&self);  // reserved: does not allocate
    suspend(Wait::counter, where);
  } else {
    yield();
  }
  self.seen = current->counter_version;
  const unsigned value = *counter;
  if (acquire) tsan_acquire(counter);
  return value;
}

void* take_shared(int index, int64_t offset, int64_t bytes, const Where& where) {
  Thread& self = *current->running;
  Block& b = *self.block;
  if (bytes < 0 || index >= int(std::size(b.arrays))) fail_at(where, "a shared array of negative size, or too many arrays");
  if (index < b.array_count) {
    if (b.arrays[index].bytes != bytes)
      fail("threads of a block take shared arrays of different sizes at " + place(where) + ": " + std::to_string(b.arrays[index].bytes) +
           " and " + std::to_string(bytes) + " bytes");
    return b.arrays[index].data;
  }
  const int64_t rounded = (bytes + 127) / 128 * 128;
  if (offset + rounded > current->shared)
    fail("shared arrays need " + std::to_string(offset + rounded) + " bytes at " + place(where) + ", the launch gave " +
         std::to_string(current->shared));
  SharedArray& array = b.arrays[b.array_count++];
  array = {offset, bytes, b.arena + b.arena_used};
  b.arena_used += rounded + kGap;
  unpoison(array.data, b.arena + b.arena_used - array.data);
  auto* gap = static_cast<volatile unsigned char*>(array.data) + bytes;  // volatile: never a call of memset
  for (; gap < b.arena + b.arena_used; ++gap) *gap = canary(gap);
  poison(array.data + bytes, b.arena + b.arena_used - (array.data + bytes));
  return array.data;
}

void leave_block(Thread& thread) {
  Block& b = *thread.block;
  Warp& warp = warp_of(thread);
  if (!thread.copies.empty()) fail("a thread leaves the kernel with asynchronous copies that it never waited for");
  if (b.arrived) fail("a thread leaves the kernel while others of its block wait in __syncthreads at " + place(b.where));
  for (const Meeting& m : warp.meetings)
    if (m.arrived && (m.mask >> thread.index % 32 & 1))
      fail(std::string("a lane leaves the kernel while others wait for it in a ") + name(m.kind) + " at " + place(m.where));
  warp.absent |= 1u << thread.index % 32;
}

}  // namespace seqgrad::emulator
