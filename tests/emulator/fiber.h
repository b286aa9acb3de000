// A suspended computation with a stack of its own: what one CUDA thread is on the host. Knows the sanitizers, so that
// ASan follows the stacks and TSan takes every fiber for a thread whose switches order nothing. No CUDA here.
#pragma once

#include <cstddef>

namespace seqgrad::emulator {

struct Fiber {
  void* stack_pointer = nullptr;  // of the suspended computation (or its ucontext)
  char* stack = nullptr;          // lowest address; null for the computation that the fibers were started from
  size_t stack_bytes = 0;
  void* tsan = nullptr;
  void* asan = nullptr;
};

// Prepares `fiber` to call entry(argument) when first switched to; `entry` must never return.
void prepare(Fiber& fiber, void (*entry)(void*), void* argument);

// Makes `main` stand for the computation that runs now.
void adopt(Fiber& main);

// `leaving`: the fiber will never run again.
void switch_fiber(Fiber& from, Fiber& to, bool leaving = false);

// First thing that `entry` does.
void begin_fiber(Fiber& fiber);

// Gives the stack back, whether or not the computation came to its end.
void abandon(Fiber& fiber, bool finished);

// Orders for TSan: what was released at an address happens before whatever acquires it. Nothing without TSan.
void tsan_release(void* address);
void tsan_acquire(void* address);
// Releases in the name of a fiber that is not running.
void tsan_release_for(Fiber& fiber, void* address);

// Red zones for ASan. Nothing without ASan.
void poison(const void* address, size_t bytes);
void unpoison(const void* address, size_t bytes);

// Memory that no thread has touched yet, to TSan's knowledge too.
unsigned char* map_memory(size_t bytes);
void unmap_memory(unsigned char* memory, size_t bytes);

}  // namespace seqgrad::emulator
