// The hooks as csrc/cpu/isa_avx2.cpp compiles the engine.
#include "cpu/isa.h"
#include "hooks.h"

#if defined(__x86_64__)
#define SEQGRAD_ISA avx2
#define SEQGRAD_ISA_NAME "avx2"
#define SEQGRAD_VECTOR_BYTES 32
#define SEQGRAD_VECTOR_REGISTERS 16
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

#include "isa_hooks.h"

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
