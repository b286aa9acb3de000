// Products and layouts of the engine's AVX2 instruction set; nothing to run on a CPU without it.
#include "cpu/isa.h"

#include "check.h"

#if defined(__x86_64__)
#define SEQGRAD_ISA avx2
#define SEQGRAD_ISA_NAME "avx2"
#define SEQGRAD_VECTOR_BYTES 32
#define SEQGRAD_VECTOR_REGISTERS 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "gemm_check.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

TEST(products_and_layouts) {
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) seqgrad::cpu::avx2::check_isa();
  else std::printf("this CPU has no avx2\n");
}
#else
TEST(no_avx2_on_this_architecture) {}
#endif
