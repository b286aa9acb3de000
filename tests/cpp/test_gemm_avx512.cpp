// Products and layouts of the engine's AVX-512 instruction set; nothing to run on a CPU without it.
#include "check.h"
#include "this_cpu.h"

#include "cpu/target_avx512.h"

#if defined(SEQGRAD_ISA)
#include "gemm_check.h"
#endif

#include "cpu/target_end.h"

#if defined(SEQGRAD_ISA)
TEST(products_and_layouts) {
  if (!this_cpu_has("avx512")) return;
  seqgrad::cpu::avx512::check_isa();
}
#else
TEST(no_avx512_on_this_architecture) {}
#endif
