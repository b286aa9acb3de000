// The hooks as csrc/cpu/isa_baseline.cpp compiles the engine.
#include "hooks.h"

#include "cpu/target_baseline.h"

#if defined(SEQGRAD_ISA)
#include "isa_hooks.h"
#endif

#include "cpu/target_end.h"
