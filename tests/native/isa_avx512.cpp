// The hooks as csrc/cpu/isa_avx512.cpp compiles the engine.
#include "cpu/isa.h"
#include "hooks.h"

#if defined(__x86_64__)
#define SEQGRAD_ISA avx512
#define SEQGRAD_ISA_NAME "avx512"
#define SEQGRAD_VECTOR_BYTES 64
#define SEQGRAD_VECTOR_REGISTERS 32
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")
#endif

#include "isa_hooks.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
