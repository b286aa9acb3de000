// Opens the instruction set that every machine of the architecture has: SSE2 on x86-64, NEON on 64-bit Arm.
// What follows, up to target_end.h, is compiled for it in the namespace SEQGRAD_ISA.
#pragma once

#include "isa.h"

#define SEQGRAD_ISA baseline
#define SEQGRAD_VECTOR_BYTES 16
#if defined(__aarch64__)
#define SEQGRAD_ISA_NAME "neon"
#define SEQGRAD_VECTOR_REGISTERS 32
#else
#define SEQGRAD_ISA_NAME "baseline"
#define SEQGRAD_VECTOR_REGISTERS 15  // of 16: without a fused multiply-add the product needs one
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC push_options
#endif
