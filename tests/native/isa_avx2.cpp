// The hooks as csrc/cpu/isa_avx2.cpp compiles the engine.
#include "hooks.h"

#include "cpu/target_avx2.h"

#if defined(SEQGRAD_ISA)
#include "isa_hooks.h"
#endif

#include "cpu/target_end.h"
