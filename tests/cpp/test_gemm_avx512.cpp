// Products and layouts of the engine's AVX-512 instruction set; nothing to run on a CPU without it.
#include "check.h"

#include "cpu/target_avx512.h"

#if defined(SEQGRAD_ISA)
#include "gemm_check.h"
#endif

#include "cpu/target_end.h"

#if defined(SEQGRAD_ISA)
TEST(products_and_layouts) {
  if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    seqgrad::cpu::avx512::check_isa();
  else std::printf("this CPU has no avx512\n");
}
#else
TEST(no_avx512_on_this_architecture) {}
#endif
