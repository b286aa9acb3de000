// amx.h with its four instructions as plain loops: all else of it is tested wherever there is AVX-512.
#define SEQGRAD_AMX_EMULATED 1
#include "check.h"
#include "this_cpu.h"

#include "cpu/target_amx.h"

#if defined(SEQGRAD_ISA)
#include "gemm_check.h"
#endif

#include "cpu/target_end.h"

#if defined(SEQGRAD_ISA)
TEST(products_and_layouts) {
  if (!this_cpu_has("avx512")) return;
  seqgrad::cpu::amx_emulated::check_isa();
}
#else
TEST(no_amx_on_this_system) {}
#endif
