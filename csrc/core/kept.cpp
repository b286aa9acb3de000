#include "kept.h"

#include <algorithm>
#include <new>

namespace seqgrad {
namespace {

using Block = KeptBlocks::Block;
constexpr size_t kPage = 4096;
// Large tensors of torch begin where a page does. Rows of theirs and of ours, read and written at once, would lie at the same
// place in their pages, where a processor takes one for the other.
constexpr size_t kShift = kPage / 2 + 64;

Block map(size_t bytes) {
  const size_t needed = bytes + kPage;
  void* all = mmap(nullptr, needed + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  std::byte* const begin = static_cast<std::byte*>(all);
  const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(all) % kHugePage) % kHugePage;
  if (before) munmap(begin, before);
  munmap(begin + before + needed, kHugePage - before);
  prefer_huge_pages(begin + before, needed);
  return {begin + before + kShift, bytes};
}

void unmap(Block block) { munmap(block.memory - kShift, block.bytes + kPage); }

bool lend_to_kernel([[maybe_unused]] Block block) {
#if defined(MADV_FREE)
  return madvise(block.memory - kShift, block.bytes + kPage, MADV_FREE) == 0;
#else
  return false;
#endif
}

}  // namespace

KeptBlocks::KeptBlocks() { kept_.reserve(256); }
KeptBlocks::~KeptBlocks() { drop(0); }

// Never destroyed: a tensor may live longer than any static.
KeptBlocks& KeptBlocks::ours() {
  static KeptBlocks* const blocks = new KeptBlocks;
  return *blocks;
}

Block KeptBlocks::take(size_t bytes) {
  bytes = (bytes + kPage - 1) / kPage * kPage;
  if (const std::unique_lock lock(mutex_, std::try_to_lock); lock) {
    auto best = kept_.end();
    for (auto block = kept_.begin(); block != kept_.end(); ++block)
      if (block->bytes >= bytes && block->bytes / 2 <= bytes && (best == kept_.end() || block->bytes < best->bytes)) best = block;
    if (best != kept_.end()) {
      const Block found = *best;
      kept_.erase(best), kept_bytes_ -= found.bytes;
      return found;
    }
    drop(kept_bytes_ - std::min(bytes, kept_bytes_));  // those nobody wanted make room
  }
  return map(bytes);
}

// In the child of a fork the lock may be held for ever: nothing is kept there then.
void KeptBlocks::give_back(Block block) noexcept {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || block.bytes > kMost || kept_.size() == kept_.capacity() || !lend_to_kernel(block)) return unmap(block);
  drop(kMost - block.bytes);
  kept_.push_back(block), kept_bytes_ += block.bytes;
}

size_t KeptBlocks::kept_bytes() const {
  const std::unique_lock lock(mutex_);
  return kept_bytes_;
}

// Unmaps those kept longest, until no more than so many bytes are kept.
void KeptBlocks::drop(size_t left) noexcept {
  auto block = kept_.begin();
  for (; kept_bytes_ > left; ++block) kept_bytes_ -= block->bytes, unmap(*block);
  kept_.erase(kept_.begin(), block);
}

}  // namespace seqgrad
