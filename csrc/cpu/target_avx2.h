// Opens AVX2 with FMA. What follows, up to target_end.h, is compiled for it in the namespace SEQGRAD_ISA; on another
// architecture SEQGRAD_ISA stays undefined.
#pragma once

#include "isa.h"

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
#endif
