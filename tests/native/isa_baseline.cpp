// The hooks as csrc/cpu/isa_baseline.cpp compiles the engine.
#include "cpu/isa.h"
#include "hooks.h"

#define SEQGRAD_ISA baseline
#define SEQGRAD_VECTOR_BYTES 16
#if defined(__aarch64__)
#define SEQGRAD_ISA_NAME "neon"
#define SEQGRAD_VECTOR_REGISTERS 32
#else
#define SEQGRAD_ISA_NAME "baseline"
#define SEQGRAD_VECTOR_REGISTERS 16
#endif

#include "isa_hooks.h"
