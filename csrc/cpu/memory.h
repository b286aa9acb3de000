// Memory of one pass: aligned buffers, from what the thread keeps between calls.

namespace seqgrad::cpu::SEQGRAD_ISA {

constexpr size_t kAlign = 64;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kKeeps = false;  // sanitizers are to see every buffer's own bounds
#else
constexpr bool kKeeps = true;
#endif

struct Free {
  size_t kept = 0;  // bytes of a block of KeptBlocks; none: malloc's
  void operator()(std::byte* p) const { kept ? KeptBlocks::ours().give_back({p, kept}) : std::free(p); }
};
using Memory = std::unique_ptr<std::byte, Free>;

inline Memory take_memory(size_t bytes) {
  if (kKeeps && bytes >= KeptBlocks::kLeast) {
    const KeptBlocks::Block block = KeptBlocks::ours().take(bytes);
    return Memory(block.memory, Free{block.bytes});
  }
  Memory memory(static_cast<std::byte*>(std::aligned_alloc(kAlign, (bytes + kAlign - 1) / kAlign * kAlign)));
  if (!memory) throw std::bad_alloc();
  return memory;
}

// What a thread keeps: fresh pages would cost a small layer more than its arithmetic. Buffers take from it in turn; when
// the last of them has gone, as at the end of every pass, it is empty again, and grows to what that pass lacked.
struct Slab {
  static constexpr size_t kMost = kKeeps ? size_t(16) << 20 : 0;

  static Slab& mine() {
    thread_local Slab slab;
    return slab;
  }
  std::byte* take(size_t bytes, Memory& own) {
    if (holders == 0) begin();
    asked += bytes;
    const bool fits = bytes <= size - used;
    if (!fits) own = take_memory(bytes);
    ++holders;  // only now: what may throw is behind us
    return fits ? memory.get() + std::exchange(used, used + bytes) : own.get();
  }
  void give_back() {
    if (--holders == 0) used = 0;
  }
  void begin() {
    if (asked > size && asked <= kMost) {
      memory.reset(), size = 0;
      memory = take_memory(asked), size = asked;
    }
    asked = 0;
  }

  Memory memory;
  size_t size = 0, used = 0;
  size_t asked = 0;     // of the running pass, or of the last one
  int64_t holders = 0;  // buffers that are there, these and those with memory of their own
};

enum class Fill { none, zero };

template <class A>
class Buffer {  // 64-byte aligned; made and destroyed on one and the same thread
 public:
  Buffer() = default;
  explicit Buffer(int64_t count, Fill fill = Fill::none) {
    if (count <= 0) return;
    const size_t bytes = (size_t(count) * sizeof(A) + kAlign - 1) / kAlign * kAlign;
    data_ = reinterpret_cast<A*>(Slab::mine().take(bytes, own_));
    if (fill == Fill::zero) std::memset(static_cast<void*>(data_), 0, bytes);
#if defined(__SANITIZE_ADDRESS__)
    else std::memset(static_cast<void*>(data_), 0xff, bytes);  // NaN: who reads what nobody wrote is found out
#endif
  }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(own_, other.own_);
    return *this;
  }
  ~Buffer() {
    if (data_) Slab::mine().give_back();
  }
  A* get() const { return data_; }

 private:
  A* data_ = nullptr;
  Memory own_;
};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
