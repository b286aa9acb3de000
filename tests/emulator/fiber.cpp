// Context switches (20 instructions on x86-64, ucontext elsewhere), pooled stacks, and what the sanitizers must be told.
// Their functions are weak: present when the executable carries the sanitizer, null else. This file, like the whole
// runtime of the emulator, is itself never instrumented by TSan.
#include "fiber.h"

#include "control.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <new>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

extern "C" {
#define WEAK __attribute__((weak))
WEAK void* __tsan_create_fiber(unsigned flags);
WEAK void __tsan_destroy_fiber(void* fiber);
WEAK void* __tsan_get_current_fiber();
WEAK void __tsan_switch_to_fiber(void* fiber, unsigned flags);
WEAK void __tsan_release(void* address);
WEAK void __tsan_acquire(void* address);
WEAK void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, size_t size);
WEAK void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, size_t* size);
WEAK void __asan_poison_memory_region(const void volatile* address, size_t bytes);
WEAK void __asan_unpoison_memory_region(const void volatile* address, size_t bytes);
#undef WEAK
}

namespace seqgrad::emulator {
namespace {

constexpr unsigned kNoSync = 1;  // of __tsan_switch_to_fiber: the switch orders nothing
constexpr size_t kStacksPerSlab = 64;

// Making a fiber costs TSan a millisecond, so finished ones serve again, first in first out, with the stack that is theirs.
// A fiber that serves again is ordered after what it did before; the spare ones see to it that it is another thread of
// another block by then.
constexpr size_t kSpareFibers = 7;
struct Finished {
  char* stack;
  void* tsan;
};
std::deque<Finished>& finished_fibers() {
  static std::deque<Finished> fibers;
  return fibers;
}

size_t stack_size() { return sanitized() ? 256 * 1024 : 128 * 1024; }

std::vector<char*>& free_stacks() {
  static std::vector<char*> stacks;
  return stacks;
}

// Lazily committed; the page below each stack is a guard, as long as the kernel's patience with mappings allows.
char* take_stack() {
  constexpr int kMostGuarded = 8192;
  static int guarded = 0;
  const size_t guard = sysconf(_SC_PAGESIZE), step = stack_size() + guard;
  if (free_stacks().empty()) {
    void* slab = mmap(nullptr, kStacksPerSlab * step, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab == MAP_FAILED) throw std::bad_alloc();
    for (size_t i = kStacksPerSlab; i-- > 0;) {
      char* base = static_cast<char*>(slab) + i * step;
      if (guarded++ < kMostGuarded && mprotect(base, guard, PROT_NONE) != 0) throw std::bad_alloc();
      free_stacks().push_back(base + guard);
    }
  }
  char* stack = free_stacks().back();
  free_stacks().pop_back();
  return stack;
}

void take_tsan_fiber(Fiber& fiber) {
  auto& pool = finished_fibers();
  if (pool.empty())
    for (size_t i = 0; i < kSpareFibers; ++i) pool.push_back({take_stack(), __tsan_create_fiber(0)});
  if (pool.size() <= kSpareFibers) {
    fiber.stack = take_stack();
    fiber.tsan = __tsan_create_fiber(0);
  } else {
    fiber.stack = pool.front().stack;
    fiber.tsan = pool.front().tsan;
    pool.pop_front();
  }
}

}  // namespace

#if defined(__x86_64__)

// seqgrad_emulator_switch(void** save, void* load): callee-saved registers go on the stack, the stack pointer is exchanged.
// seqgrad_emulator_enter: the first return address of a fiber; calls r12(r13).
asm(R"(
.pushsection .text
.globl seqgrad_emulator_switch
.hidden seqgrad_emulator_switch
.type seqgrad_emulator_switch, @function
seqgrad_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size seqgrad_emulator_switch, .-seqgrad_emulator_switch
.globl seqgrad_emulator_enter
.hidden seqgrad_emulator_enter
.type seqgrad_emulator_enter, @function
seqgrad_emulator_enter:
  .cfi_startproc
  .cfi_undefined rip
  movq %r13, %rdi
  callq *%r12
  ud2
  .cfi_endproc
.size seqgrad_emulator_enter, .-seqgrad_emulator_enter
.popsection
)");
extern "C" void seqgrad_emulator_switch(void** save, void* load);
extern "C" void seqgrad_emulator_enter();

namespace {

void set_up(Fiber& fiber, void (*entry)(void*), void* argument) {
  auto* top = reinterpret_cast<uintptr_t*>(fiber.stack + fiber.stack_bytes);
  top[-1] = top[-2] = 0;
  top[-3] = reinterpret_cast<uintptr_t>(seqgrad_emulator_enter);
  top[-4] = 0;                                      // rbp
  top[-5] = 0;                                      // rbx
  top[-6] = reinterpret_cast<uintptr_t>(entry);     // r12
  top[-7] = reinterpret_cast<uintptr_t>(argument);  // r13
  top[-8] = top[-9] = 0;                            // r14, r15
  fiber.stack_pointer = top - 9;
}

void exchange(Fiber& from, Fiber& to) { seqgrad_emulator_switch(&from.stack_pointer, to.stack_pointer); }
void release_context(Fiber&) {}

}  // namespace

#else

namespace {

void call(unsigned entry_high, unsigned entry_low, unsigned argument_high, unsigned argument_low) {
  const auto join = [](unsigned high, unsigned low) { return uintptr_t(uint64_t(high) << 32 | low); };
  reinterpret_cast<void (*)(void*)>(join(entry_high, entry_low))(reinterpret_cast<void*>(join(argument_high, argument_low)));
}

void set_up(Fiber& fiber, void (*entry)(void*), void* argument) {
  auto* context = new ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = fiber.stack;
  context->uc_stack.ss_size = fiber.stack_bytes;
  context->uc_link = nullptr;
  const uint64_t e = reinterpret_cast<uintptr_t>(entry), a = reinterpret_cast<uintptr_t>(argument);
  makecontext(context, reinterpret_cast<void (*)()>(call), 4, unsigned(e >> 32), unsigned(e), unsigned(a >> 32), unsigned(a));
  fiber.stack_pointer = context;
}

void exchange(Fiber& from, Fiber& to) {
  if (!from.stack_pointer) from.stack_pointer = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from.stack_pointer), static_cast<ucontext_t*>(to.stack_pointer));
}

void release_context(Fiber& fiber) { delete static_cast<ucontext_t*>(fiber.stack_pointer); }

}  // namespace

#endif

void prepare(Fiber& fiber, void (*entry)(void*), void* argument) {
  if (__tsan_create_fiber) take_tsan_fiber(fiber);
  else fiber.stack = take_stack();
  fiber.stack_bytes = stack_size();
  unpoison(fiber.stack, fiber.stack_bytes);  // an abandoned computation leaves its red zones behind
  set_up(fiber, entry, argument);
}

void adopt(Fiber& main) {
  if (__tsan_get_current_fiber) main.tsan = __tsan_get_current_fiber();
  if (!__sanitizer_start_switch_fiber || main.stack) return;
  pthread_attr_t attributes;  // ASan wants to know the stack that it comes back to
  void* bottom = nullptr;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  pthread_attr_getstack(&attributes, &bottom, &main.stack_bytes);
  pthread_attr_destroy(&attributes);
  main.stack = static_cast<char*>(bottom);
}

void switch_fiber(Fiber& from, Fiber& to, bool leaving) {
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(to.tsan, kNoSync);
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(leaving ? nullptr : &from.asan, to.stack, to.stack_bytes);
  exchange(from, to);
  begin_fiber(from);
}

void begin_fiber(Fiber& fiber) {
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fiber.asan, nullptr, nullptr);
}

void abandon(Fiber& fiber, bool finished) {
  release_context(fiber);
  if (fiber.tsan && finished) {
    finished_fibers().push_back({fiber.stack, fiber.tsan});
  } else {
    if (fiber.tsan) __tsan_destroy_fiber(fiber.tsan);
    free_stacks().push_back(fiber.stack);
  }
  fiber = {};
}

void tsan_release(void* address) {
  if (__tsan_release) __tsan_release(address);
}

void tsan_acquire(void* address) {
  if (__tsan_acquire) __tsan_acquire(address);
}

void tsan_release_for(Fiber& fiber, void* address) {
  if (!__tsan_switch_to_fiber || !fiber.tsan) return;
  void* self = __tsan_get_current_fiber();
  if (fiber.tsan == self) return tsan_release(address);
  __tsan_switch_to_fiber(fiber.tsan, kNoSync);
  __tsan_release(address);
  __tsan_switch_to_fiber(self, kNoSync);
}

void poison(const void* address, size_t bytes) {
  if (__asan_poison_memory_region) __asan_poison_memory_region(address, bytes);
}

void unpoison(const void* address, size_t bytes) {
  if (__asan_unpoison_memory_region) __asan_unpoison_memory_region(address, bytes);
}

// mmap makes TSan forget who touched the memory before, which no call of its own does.
unsigned char* map_memory(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<unsigned char*>(memory);
}

void unmap_memory(unsigned char* memory, size_t bytes) {
  unpoison(memory, bytes);
  munmap(memory, bytes);
}

bool sanitized() { return __asan_poison_memory_region || __tsan_create_fiber; }

}  // namespace seqgrad::emulator
