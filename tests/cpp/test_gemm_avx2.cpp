// Products and layouts of the engine's AVX2 instruction set; nothing to run on a CPU without it.
#include "check.h"

#include "cpu/target_avx2.h"

#if defined(SEQGRAD_ISA)
#include "gemm_check.h"
#endif

#include "cpu/target_end.h"

#if defined(SEQGRAD_ISA)
TEST(products_and_layouts) {
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) seqgrad::cpu::avx2::check_isa();
  else std::printf("this CPU has no avx2\n");
}
#else
TEST(no_avx2_on_this_architecture) {}
#endif
