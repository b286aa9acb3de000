// What test_gemm_*.cpp ask before they run code for one instruction set.
#pragma once

#include <cstdio>
#include <string>

#include "cpu/engine.h"

// Asks as the engine does: of AMX's tiles that means to ask the kernel for them.
inline bool this_cpu_has(const std::string& name) {
  const seqgrad::cpu::Engine* engines[8];
  const int count = seqgrad::cpu::available(engines, 8);
  for (int i = 0; i < count; ++i)
    if (engines[i]->name == name) return true;
  std::printf("this CPU has no %s\n", name.c_str());
  return false;
}
