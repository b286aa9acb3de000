// The engine for AVX2 with FMA.
#include "target_avx2.h"

#if defined(SEQGRAD_ISA)
#include "isa_body.h"
#endif

#include "target_end.h"
