// The hooks as csrc/cpu/isa_avx512.cpp compiles the engine.
#include "hooks.h"

#include "cpu/target_avx512.h"

#if defined(SEQGRAD_ISA)
#include "isa_hooks.h"
#endif

#include "cpu/target_end.h"
