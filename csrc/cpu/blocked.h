// Memory of one pass: aligned buffers, and the copies into and out of the blocked layout of gemm.h.

namespace seqgrad::cpu::SEQGRAD_ISA {

// Memory that a thread keeps for the buffers of tiny calls, where malloc would take longer than the arithmetic. Buffers
// take from it in turn; when the last of them has gone, as at the end of every pass, it is empty again.
struct Slab {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr size_t kBytes = 0;  // sanitizers are to see every buffer's own bounds
#else
  static constexpr size_t kBytes = 32768;
#endif
  static constexpr size_t kAlign = 64;

  static Slab& mine() {
    thread_local Slab slab;
    return slab;
  }
  void* take(size_t bytes) {
    if (bytes > kBytes - used) return nullptr;
    if (!memory) memory.reset(new (std::nothrow) std::byte[kBytes + kAlign]);
    if (!memory) return nullptr;
    ++holders;
    return aligned(memory.get()) + std::exchange(used, used + bytes);
  }
  void give_back() {
    if (--holders == 0) used = 0;
  }
  static std::byte* aligned(std::byte* p) { return p + (kAlign - reinterpret_cast<uintptr_t>(p) % kAlign) % kAlign; }

  std::unique_ptr<std::byte[]> memory;
  size_t used = 0;
  int64_t holders = 0;
};

template <class A>
class Buffer {  // zero-filled, 64-byte aligned; made and destroyed on one and the same thread
 public:
  Buffer() = default;
  explicit Buffer(int64_t count) {
    if (count <= 0) return;
    const size_t bytes = (size_t(count) * sizeof(A) + Slab::kAlign - 1) / Slab::kAlign * Slab::kAlign;
    data_ = static_cast<A*>(Slab::mine().take(bytes));
    borrowed_ = data_ != nullptr;
    if (!borrowed_) data_ = static_cast<A*>(std::aligned_alloc(Slab::kAlign, bytes));
    if (!data_) throw std::bad_alloc();
    std::memset(data_, 0, bytes);
  }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), borrowed_(other.borrowed_) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(borrowed_, other.borrowed_);
    return *this;
  }
  ~Buffer() {
    if (!data_) return;
    if (borrowed_) Slab::mine().give_back();
    else std::free(data_);
  }
  A* get() const { return data_; }

 private:
  A* data_ = nullptr;
  bool borrowed_ = false;
};

template <class A>
constexpr int64_t blocks_of(int64_t columns) {
  return (columns + kLanes<A> - 1) / kLanes<A>;
}
template <class A>
SEQGRAD_HD int lanes_in(int64_t block, int64_t columns) {
  const int64_t left = columns - block * kLanes<A>;
  return left < kLanes<A> ? int(left) : kLanes<A>;
}

// One row of `columns` stored values into row 0 of a blocked matrix (the caller offsets by row * L).
template <class S, class A = Arithmetic<S>>
void pack_row(const S* row, int64_t columns, A* to, int64_t step) {
  for (int64_t b = 0; b < blocks_of<A>(columns); ++b) store_aligned(to + b * step, load(row + b * kLanes<A>, lanes_in<A>(b, columns)));
}
template <class S, class A>
void unpack_row(const A* from, int64_t step, int64_t columns, S* row) {
  for (int64_t b = 0; b < blocks_of<A>(columns); ++b) store(row + b * kLanes<A>, load_aligned(from + b * step), lanes_in<A>(b, columns));
}

// Column block `block` (of gate = block / blocks_of(units)) of the transpose of w [gates * units, depth]:
// to[k][lane] = w[gate * units + unit(lane)][k]. The right operand of x W^T and h W^T.
template <class S, class A = Arithmetic<S>>
void pack_transposed(const S* w, int64_t units, int64_t depth, int64_t block, A* to) {
  constexpr int L = kLanes<A>;
  const int64_t ub = blocks_of<A>(units), gate = block / ub, u = block % ub;
  const int lanes = lanes_in<A>(u, units);
  const S* rows = w + (gate * units + u * L) * depth;
  for (int64_t kb = 0; kb < blocks_of<A>(depth); ++kb) {
    alignas(64) A square[L][L] = {};
    for (int lane = 0; lane < lanes; ++lane) store_aligned(square[lane], load(rows + lane * depth + kb * L, lanes_in<A>(kb, depth)));
    A* target = to + kb * L * L;
    for (int k = 0; k < L; ++k)
      for (int lane = 0; lane < L; ++lane) target[k * L + lane] = square[lane][k];
  }
}

// Column block `block` of w [gates * units, columns] with gates in plane order and units padded per gate:
// to[plane * padded units + unit][lane]. The right operand of dz W.
template <class S, class A = Arithmetic<S>, class GateOf>
void pack_straight(const S* w, int planes, GateOf gate_of, int64_t units, int64_t columns, int64_t block, A* to) {
  constexpr int L = kLanes<A>;
  const int64_t padded = blocks_of<A>(units) * L;
  const int lanes = lanes_in<A>(block, columns);
  for (int plane = 0; plane < planes; ++plane)
    for (int64_t u = 0; u < units; ++u)
      store_aligned(to + (plane * padded + u) * L, load(w + (gate_of(plane) * units + u) * columns + block * L, lanes));
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
