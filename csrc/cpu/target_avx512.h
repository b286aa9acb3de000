// Opens AVX-512 (F, BW, DQ, VL). What follows, up to target_end.h, is compiled for it in the namespace SEQGRAD_ISA; on another
// architecture SEQGRAD_ISA stays undefined.
#pragma once

#include "isa.h"

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
#endif
