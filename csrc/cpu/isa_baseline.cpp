// The engine for what every machine of the architecture has.
#include "target_baseline.h"

#if defined(SEQGRAD_ISA)
#include "isa_body.h"
#endif

#include "target_end.h"
