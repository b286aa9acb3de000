// Products of float storage on AMX's tiles; nothing to run where there are none.
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
  if (!this_cpu_has("amx")) return;
  const seqgrad::cpu::amx_float::TileUse tiles;
  seqgrad::cpu::amx_float::check_isa();
}
#else
TEST(no_amx_on_this_system) {}
#endif
