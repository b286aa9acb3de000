// The engine for what every machine of the architecture has: SSE2 on x86-64, NEON on 64-bit Arm.
#include "isa.h"

#define SEQGRAD_ISA baseline
#define SEQGRAD_VECTOR_BYTES 16
#if defined(__aarch64__)
#define SEQGRAD_ISA_NAME "neon"
#define SEQGRAD_VECTOR_REGISTERS 32
#else
#define SEQGRAD_ISA_NAME "baseline"
#define SEQGRAD_VECTOR_REGISTERS 16
#endif

#include "isa_body.h"
