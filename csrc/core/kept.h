// Memory that outlives its user. `saved`, most of what a training step takes, and the larger part of the scratch are freed
// by each step and asked for again by the next one. Between them malloc gives them back to the kernel, which hands them out
// anew filled with zeros: up to a tenth of a step. So they are kept here, marked as the kernel's to take where memory runs
// short (MADV_FREE). No torch.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "pages.h"

namespace seqgrad {

// Blocks in use and blocks kept take together no more than those in use once did. (Out of line: of units that several
// instruction sets include, the linker must not choose one for all.)
class KeptBlocks {
 public:
  struct Block {
    std::byte* memory;
    size_t bytes;
  };

  static constexpr size_t kLeast = kHugePage;       // smaller ones malloc keeps by itself
  static constexpr size_t kMost = size_t(1) << 30;  // kept in all

  static KeptBlocks& ours();             // the process's own
  Block take(size_t bytes);              // unwritten, at least so many bytes, aligned to 64; throws bad_alloc
  void give_back(Block block) noexcept;  // one that `take` returned
  size_t kept_bytes() const;

  KeptBlocks();
  KeptBlocks(const KeptBlocks&) = delete;
  ~KeptBlocks();

 private:
  void drop(size_t left) noexcept;

  mutable std::mutex mutex_;
  std::vector<Block> kept_;  // the longest kept first
  size_t kept_bytes_ = 0;
};

}  // namespace seqgrad
