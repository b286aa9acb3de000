// Fresh memory in large pages. The kernel hands out memory 4 KiB at a time, when it is first written; that costs more than
// filling it does, and for `out` and `saved` of a long sequence as much as the layer itself. No torch.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

namespace seqgrad {

constexpr size_t kHugePage = size_t(2) << 20;

// Asks for huge pages where whole ones lie within [p, p + bytes): only a wish, with no effect on what is there already.
// Static: units for different instruction sets include it, and the linker must not choose one for all.
static inline void prefer_huge_pages([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if defined(MADV_HUGEPAGE)
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(p) + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(p) + bytes) / kHugePage * kHugePage;
  if (bytes >= kHugePage && end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

}  // namespace seqgrad
