// Chooses the engine at run time. SEQGRAD_CPU_ISA=baseline|avx2|avx512|neon overrides, for tests and comparison.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine.h"

namespace seqgrad::cpu {

namespace baseline { extern const Engine kEngine; }
#if defined(__x86_64__)
namespace avx2 { extern const Engine kEngine; }
namespace avx512 { extern const Engine kEngine; }
#endif

int available(const Engine** engines, int most) {
  int count = 0;
  const auto add = [&](const Engine& e) {
    if (count < most) engines[count++] = &e;
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    add(avx512::kEngine);
  if (fma) add(avx2::kEngine);
#endif
  add(baseline::kEngine);
  return count;
}

const Engine& engine() {
  static const Engine& chosen = []() -> const Engine& {
    const Engine* engines[4];
    const int count = available(engines, 4);
    if (const char* wanted = std::getenv("SEQGRAD_CPU_ISA")) {
      for (int i = 0; i < count; ++i)
        if (!std::strcmp(engines[i]->name, wanted)) return *engines[i];
      std::fprintf(stderr, "seqgrad: SEQGRAD_CPU_ISA=%s is not available here; using %s\n", wanted, engines[0]->name);
    }
    return *engines[0];
  }();
  return chosen;
}

}  // namespace seqgrad::cpu
