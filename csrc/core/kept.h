// Memory that outlives its tensor. `saved`, most of what a training step takes, is freed at the step's end and asked for
// again by the next one. Between them malloc gives it back to the kernel, which hands it out anew filled with zeros: up to
// a tenth of the step of a layer of 100 units. So it is kept here, marked as the kernel's to take where memory runs short
// (MADV_FREE). No torch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <new>
#include <vector>

#include "pages.h"

namespace seqgrad {

// Blocks in use and blocks kept take together no more than those in use once did.
class KeptBlocks {
 public:
  struct Block {
    std::byte* memory;
    size_t bytes;
  };

  static constexpr size_t kLeast = kHugePage;       // smaller ones malloc keeps by itself
  static constexpr size_t kMost = size_t(1) << 30;  // kept in all

  // The process's own. Never destroyed: a tensor may live longer than any static.
  static KeptBlocks& ours() {
    static KeptBlocks* const blocks = new KeptBlocks;
    return *blocks;
  }

  // Unwritten, at least so many bytes, aligned to 64.
  Block take(size_t bytes) {
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

  // One that `take` returned. In the child of a fork the lock may be held for ever: nothing is kept there then.
  void give_back(Block block) noexcept {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock || block.bytes > kMost || kept_.size() == kept_.capacity() || !lend_to_kernel(block)) return unmap(block);
    drop(kMost - block.bytes);
    kept_.push_back(block), kept_bytes_ += block.bytes;
  }

  size_t kept_bytes() const {
    const std::unique_lock lock(mutex_);
    return kept_bytes_;
  }

  KeptBlocks() { kept_.reserve(256); }
  KeptBlocks(const KeptBlocks&) = delete;
  ~KeptBlocks() { drop(0); }

 private:
  static constexpr size_t kPage = 4096;
  // Large tensors of torch begin where a page does. Rows of theirs and of ours, read and written at once, would lie at the
  // same place in their pages, where a processor takes one for the other.
  static constexpr size_t kShift = kPage / 2 + 64;

  static Block map(size_t bytes) {
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
  static void unmap(Block block) noexcept { munmap(block.memory - kShift, block.bytes + kPage); }

  static bool lend_to_kernel([[maybe_unused]] Block block) noexcept {
#if defined(MADV_FREE)
    return madvise(block.memory - kShift, block.bytes + kPage, MADV_FREE) == 0;
#else
    return false;
#endif
  }

  // Unmaps those kept longest, until no more than so many bytes are kept.
  void drop(size_t left) noexcept {
    auto block = kept_.begin();
    for (; kept_bytes_ > left; ++block) kept_bytes_ -= block->bytes, unmap(*block);
    kept_.erase(kept_.begin(), block);
  }

  mutable std::mutex mutex_;
  std::vector<Block> kept_;  // the longest kept first
  size_t kept_bytes_ = 0;
};

}  // namespace seqgrad
