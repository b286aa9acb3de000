// Device memory as tests hand it out: exact-size, filled with NaN, between red zones that ASan watches and that every
// build checks at the end. Host side.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "fiber.h"
#include "scheduler.h"

namespace seqgrad::emulator {

class Guarded {
 public:
  // `skew` bytes past a multiple of 256, as a view into a larger tensor may lie.
  explicit Guarded(int64_t size, int64_t skew = 0) : bytes(size), total((kZone + skew + size + kZone + 255) / 256 * 256) {
    base.reset(static_cast<unsigned char*>(std::aligned_alloc(256, total)));
    if (!base) throw std::bad_alloc();
    begin = base.get() + kZone + skew;
    for (unsigned char* at = base.get(); at < base.get() + total; ++at) *at = at < begin || at >= begin + bytes ? canary(at) : 0xff;
    poison(base.get(), begin - base.get());
    poison(begin + bytes, base.get() + total - begin - bytes);
  }
  Guarded(Guarded&&) = default;
  ~Guarded() {
    if (base) unpoison(base.get(), total);
  }

  void* data() const { return begin; }
  int64_t size() const { return bytes; }

  // Whether nobody has written outside.
  bool intact() const {
    unpoison(base.get(), total);
    for (const unsigned char* at = base.get(); at < base.get() + total; ++at)
      if ((at < begin || at >= begin + bytes) && *at != canary(at)) return false;
    poison(base.get(), begin - base.get());
    poison(begin + bytes, base.get() + total - begin - bytes);
    return true;
  }

 private:
  static constexpr int64_t kZone = 256;
  int64_t bytes, total;
  std::unique_ptr<unsigned char, void (*)(void*)> base{nullptr, std::free};
  unsigned char* begin = nullptr;
};

// What the engine allocates during one call.
class Workspaces {
 public:
  static void* allocate(void* self, int64_t bytes) {
    auto& all = static_cast<Workspaces*>(self)->blocks;
    all.emplace_back(bytes);
    return all.back().data();
  }
  bool intact() const {
    for (const Guarded& block : blocks)
      if (!block.intact()) return false;
    return true;
  }

 private:
  std::vector<Guarded> blocks;
};

}  // namespace seqgrad::emulator
