// As test_gemm_amx_emulated.cpp, for float storage.
#define SEQGRAD_AMX_EMULATED 1
#define SEQGRAD_AMX_FLOAT 1
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
  seqgrad::cpu::amx_float_emulated::check_isa();
}
#else
TEST(no_amx_on_this_system) {}
#endif
