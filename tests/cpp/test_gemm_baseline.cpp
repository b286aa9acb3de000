// Products and layouts of the engine's baseline instruction set.
#include "cpu/isa.h"

#include "check.h"

#define SEQGRAD_ISA baseline
#define SEQGRAD_VECTOR_BYTES 16
#if defined(__aarch64__)
#define SEQGRAD_ISA_NAME "neon"
#define SEQGRAD_VECTOR_REGISTERS 32
#else
#define SEQGRAD_ISA_NAME "baseline"
#define SEQGRAD_VECTOR_REGISTERS 16
#endif

#include "gemm_check.h"

TEST(products_and_layouts) { seqgrad::cpu::baseline::check_isa(); }
