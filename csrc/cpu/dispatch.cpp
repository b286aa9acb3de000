// Chooses the engine at run time. SEQGRAD_CPU_ISA=baseline|avx2|avx512|amx|neon overrides, for tests and comparison.
#include <cstdio>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine.h"
#include "isa.h"
#if SEQGRAD_HAS_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

template class std::vector<int64_t>;  // for isa_*.cpp: see isa.h

namespace seqgrad::cpu {

namespace baseline { extern const Engine kEngine; }
#if defined(__x86_64__)
namespace avx2 { extern const Engine kEngine; }
namespace avx512 { extern const Engine kEngine; }
#endif
#if SEQGRAD_HAS_AMX
namespace amx { extern const Engine kEngine; }

// The processor has tiles for bfloat16, and the kernel lends this process their 8 KiB of state, for which it wants to be asked.
static bool tiles_lent() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned kBfloat16 = 1u << 22, kTiles = 1u << 24;
  constexpr long kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & kBfloat16) && (d & kTiles) && !syscall(SYS_arch_prctl, kAskForState, kTileData);
}
#endif

int available(const Engine** engines, int most) {
  int count = 0;
  const auto add = [&](const Engine& e) {
    if (count < most) engines[count++] = &e;
  };
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool wide = fma && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
#if SEQGRAD_HAS_AMX
  if (wide && tiles_lent()) add(amx::kEngine);
#endif
  if (wide) add(avx512::kEngine);
  if (fma) add(avx2::kEngine);
#endif
  add(baseline::kEngine);
  return count;
}

const Engine& engine() {
  static const Engine& chosen = []() -> const Engine& {
    const Engine* engines[8];
    const int count = available(engines, 8);
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
