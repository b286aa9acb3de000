// Opens AVX-512 and AMX's tiles (amx.h). As target_avx512.h; where there are none, SEQGRAD_ISA stays undefined.
#pragma once

#include "isa.h"

#if SEQGRAD_HAS_AMX
#include "target_avx512.h"
#undef SEQGRAD_ISA
#undef SEQGRAD_ISA_NAME
#define SEQGRAD_AMX 1
#if SEQGRAD_AMX_EMULATED && SEQGRAD_AMX_FLOAT  // a test's: the tiles' instructions as plain loops
#define SEQGRAD_ISA amx_float_emulated
#define SEQGRAD_ISA_NAME "amx_float_emulated"
#elif SEQGRAD_AMX_EMULATED
#define SEQGRAD_ISA amx_emulated
#define SEQGRAD_ISA_NAME "amx_emulated"
#elif SEQGRAD_AMX_FLOAT
#define SEQGRAD_ISA amx_float
#define SEQGRAD_ISA_NAME "amx_float"
#else
#define SEQGRAD_ISA amx
#define SEQGRAD_ISA_NAME "amx"
#endif
#endif
