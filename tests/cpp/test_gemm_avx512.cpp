// Products and layouts of the engine's AVX-512 instruction set; nothing to run on a CPU without it.
#include "cpu/isa.h"

#include "check.h"

#if defined(__x86_64__)
#define SEQGRAD_ISA avx512
#define SEQGRAD_ISA_NAME "avx512"
#define SEQGRAD_VECTOR_BYTES 64
#define SEQGRAD_VECTOR_REGISTERS 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "gemm_check.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

TEST(products_and_layouts) {
  if (__builtin_cpu_supports("fma") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    seqgrad::cpu::avx512::check_isa();
  else std::printf("this CPU has no avx512\n");
}
#else
TEST(no_avx512_on_this_architecture) {}
#endif
