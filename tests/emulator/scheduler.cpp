// Who runs next. Threads switch directly from one to the other; main hears of completed blocks, failures and deadlocks.
#include "scheduler.h"

#include <bit>
#include <exception>

#include "control.h"

namespace seqgrad::emulator {

Launch* current = nullptr;
const Position* position = nullptr;
int64_t switch_count = 0;

Random::Random(uint64_t seed) {
  uint64_t z = seed + 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  state = (z ^ (z >> 31)) | 1;
}

uint64_t Random::next() {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (state * 0x2545f4914f6cdd1du) >> 16;
}

std::vector<uint32_t> Random::permutation(uint32_t count) {
  std::vector<uint32_t> order(count);
  for (uint32_t i = 0; i < count; ++i) order[i] = i;
  for (uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[below(i)]);
  return order;
}

void ReadySet::resize(uint32_t ranks) {
  const auto words = [](size_t bits) { return (bits + 63) / 64; };
  bottom.assign(words(ranks), 0);
  middle.assign(words(bottom.size()), 0);
  top.assign(words(middle.size()), 0);
  count = 0;
}

void ReadySet::insert(uint32_t rank) {
  count += !(bottom[rank / 64] >> rank % 64 & 1);
  bottom[rank / 64] |= uint64_t(1) << rank % 64;
  middle[rank / 4096] |= uint64_t(1) << rank / 64 % 64;
  top[rank / 262144] |= uint64_t(1) << rank / 4096 % 64;
}

void ReadySet::erase(uint32_t rank) {
  count -= bottom[rank / 64] >> rank % 64 & 1;
  if (bottom[rank / 64] &= ~(uint64_t(1) << rank % 64)) return;
  if (middle[rank / 4096] &= ~(uint64_t(1) << rank / 64 % 64)) return;
  top[rank / 262144] &= ~(uint64_t(1) << rank / 4096 % 64);
}

uint32_t ReadySet::from(uint32_t rank) const {
  const auto rest = [](uint64_t word, uint32_t bit) { return bit < 64 ? word >> bit << bit : 0; };
  uint32_t word = rank / 64;
  if (const uint64_t here = rest(bottom[word], rank % 64)) return word * 64 + std::countr_zero(here);
  uint32_t upper = word / 64;
  uint64_t next = rest(middle[upper], word % 64 + 1);
  for (uint32_t high = upper / 64, bit = upper % 64 + 1; !next && high < top.size(); ++high, bit = 0) {
    if (const uint64_t found = rest(top[high], bit)) upper = high * 64 + std::countr_zero(found), next = middle[upper];
  }
  if (!next) return kNone;
  word = upper * 64 + std::countr_zero(next);
  return word * 64 + std::countr_zero(bottom[word]);
}

uint32_t ReadySet::at_or_after(uint32_t rank) const {
  const uint32_t found = from(rank);
  return found != kNone ? found : from(0);
}

namespace {

uint64_t lottery = 1;  // of the uniform policy; plain arithmetic, since it is drawn at every switch

Thread* pick() {
  Launch& l = *current;
  if (l.ready.empty()) {
    if (l.idle.empty() || !l.progress) return nullptr;
    l.progress = false;
    for (Thread* thread : l.idle) make_ready(*thread);
    l.idle.clear();
  }
  uint32_t rank = 0;
  if (schedule().policy == Policy::uniform) {
    lottery ^= lottery << 13, lottery ^= lottery >> 7, lottery ^= lottery << 17;
    rank = l.ready.at_or_after((lottery >> 20) % l.by_rank.size());
  } else {
    rank = l.ready.first();
  }
  return l.by_rank[rank];
}

void go_to(Thread& from, Thread& to, bool leaving = false) {
  Launch& l = *current;
  if (&from == &to) return;
  ++switch_count;
  l.running = &to;
  position = &to.at;
  switch_fiber(from.fiber, to.fiber, leaving);
}

void go_to_main(Thread& from, bool leaving) {
  current->running = nullptr;
  switch_fiber(from.fiber, current->main, leaving);
}

}  // namespace

void enter(void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  begin_fiber(thread.fiber);
  tsan_acquire(current->start);
  try {
    current->call(const_cast<void*>(current->kernel), current->params);
    leave_block(thread);
  } catch (const Failed&) {  // says what and where already
  } catch (const std::exception& error) {
    current->failure_text = std::string("a kernel threw an exception: ") + error.what() + ", in " + thread_name(thread);
  }
  tsan_release(current->end);
  thread.finished = true;
  current->progress = true;
  current->ready.erase(thread.rank);
  Block& block = *thread.block;
  const bool last = ++block.finished == int(block.threads.size());
  if (last) current->completed = &block;
  Thread* next = last || !current->failure_text.empty() ? nullptr : pick();
  if (next) go_to(thread, *next, true);
  else go_to_main(thread, true);
  __builtin_unreachable();
}

void make_ready(Thread& thread) {
  thread.wait = Wait::none;
  current->ready.insert(thread.rank);
}

void suspend(Wait wait, const Where& where) {
  Thread& self = *current->running;
  self.wait = wait;
  self.where = where;
  current->ready.erase(self.rank);
  Thread* next = pick();
  if (next) go_to(self, *next);
  else go_to_main(self, false);
}

void yield() {
  Thread& self = *current->running;
  go_to(self, *pick());
}

void fail(const std::string& text) {
  current->failure_text = text + ", by " + thread_name(*current->running);
  throw Failed{};
}

void fail_at(const Where& where, const char* what) { fail(std::string(what) + " at " + place(where)); }

void run_to_end(Launch& l) {
  lottery = Random(schedule().seed ^ 0x5eed).next() | 1;
  size_t alive = 0;
  for (; alive < l.blocks.size(); ++alive) begin_block(l, l.blocks[alive]);
  while (alive > 0) {
    Thread* next = pick();
    if (next) {
      ++switch_count;
      l.completed = nullptr;
      l.running = next;
      position = &next->at;
      switch_fiber(l.main, next->fiber);
    }
    if (!l.failure_text.empty()) return;
    if (!next || !l.completed) {  // nobody can run
      l.failure_text = deadlock_text(l);
      return;
    }
    end_block(l, *l.completed);
    if (!l.failure_text.empty()) return;
    if (l.next_block < l.block_order.size()) begin_block(l, *l.completed);
    else --alive;
  }
}

}  // namespace seqgrad::emulator
