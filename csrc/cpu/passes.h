// The two passes, and all they stand on. No include guard: see isa_body.h.
#include "../core/layer.h"
#include "../core/figures.h"
#include "../core/norm.h"
#include "engine.h"
#include "simd.h"
#include "blocked.h"
#include "operands.h"
#if SEQGRAD_AMX
#include "amx_tile.h"
#include "amx_parts.h"
#include "amx.h"
#else
#include "gemm.h"
#endif
#include "product.h"
#include "memory.h"
#include "rows.h"
#include "team.h"
#include "forward.h"
#include "backward.h"

namespace seqgrad::cpu::SEQGRAD_ISA {

template <class S, class Run>
void with_cell(const Layer& p, Run&& run) {
  switch (p.cell) {
#define SEQGRAD_CELL(name, type) \
  case CellId::name: return run(std::type_identity<type>{});
    SEQGRAD_CELLS(SEQGRAD_CELL)
#undef SEQGRAD_CELL
  }
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
