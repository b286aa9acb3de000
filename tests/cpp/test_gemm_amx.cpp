// Products and layouts on AMX's tiles; nothing to run where there are none.
#include "check.h"

#include "cpu/engine.h"
#include "cpu/target_amx.h"

#if defined(SEQGRAD_ISA)
#include "gemm_check.h"
#endif

#include "cpu/target_end.h"

#if defined(SEQGRAD_ISA)
TEST(products_and_layouts) {
  const seqgrad::cpu::Engine* engines[8];
  seqgrad::cpu::available(engines, 8);  // asks the kernel for the tiles
  if (std::string(engines[0]->name) != "amx") return void(std::printf("this CPU has no amx\n"));
  const seqgrad::cpu::amx::TileUse tiles;
  seqgrad::cpu::amx::check_isa();
}
#else
TEST(no_amx_on_this_system) {}
#endif
