// Products and layouts of the engine's baseline instruction set.
#include "check.h"

#include "cpu/target_baseline.h"

#include "gemm_check.h"

#include "cpu/target_end.h"

TEST(products_and_layouts) { seqgrad::cpu::baseline::check_isa(); }
