// The engine for AVX-512.
#include "target_avx512.h"

#if defined(SEQGRAD_ISA)
#include "isa_body.h"
#endif

#include "target_end.h"
