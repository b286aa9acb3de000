// Several threads on one slice: a batch smaller than the machine splits the hidden units instead of the samples.
//
// torch's pool does not promise that the items of a parallel loop run at the same time (a nested call runs them one
// after the other), and members of a team wait for each other at every time step. So they first meet: the first to
// arrive leads and waits a moment for the others; if they do not come it works alone, and latecomers find nothing to do.

namespace seqgrad::cpu::SEQGRAD_ISA {

constexpr int kMeetingSpins = 20000;  // about a millisecond: far above a thread's wake-up time
constexpr int kPatientSpins = 2000;   // then let another process have the core

inline void pause_spin(int spins) {
#if defined(__x86_64__)
  _mm_pause();
#endif
  if (spins % kPatientSpins == kPatientSpins - 1) sched_yield();
}

class Team {
 public:
  explicit Team(int wanted) : wanted_(wanted) {}

  // This thread's place in the team, in order of arrival; -1: the work is done or will be, without it.
  int meet() {
    const int place = arrived_.fetch_add(1, std::memory_order_acq_rel);
    if (place == 0) {
      for (int spins = 0; spins < kMeetingSpins && arrived_.load(std::memory_order_acquire) < wanted_; ++spins) pause_spin(spins);
      // Whoever has arrived by now may be counted in only if all have.
      size_.store(arrived_.load(std::memory_order_acquire) == wanted_ ? wanted_ : 1, std::memory_order_release);
      return 0;
    }
    int size = 0;
    for (int spins = 0; (size = size_.load(std::memory_order_acquire)) == 0; ++spins) pause_spin(spins);
    return place < size ? place : -1;
  }

  int size() const { return size_.load(std::memory_order_relaxed); }

  void barrier() {
    const int size = this->size();
    if (size == 1) return;
    const int64_t epoch = epoch_.load(std::memory_order_acquire);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) == size - 1) {
      waiting_.store(0, std::memory_order_relaxed);
      epoch_.store(epoch + 1, std::memory_order_release);
    } else {
      for (int spins = 0; epoch_.load(std::memory_order_acquire) == epoch; ++spins) pause_spin(spins);
    }
  }

 private:
  const int wanted_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> size_{0};
  alignas(64) std::atomic<int> waiting_{0};
  alignas(64) std::atomic<int64_t> epoch_{0};
};

// One member's view: which part of a count of things is its own.
struct Member {
  Team& team;
  int place;

  struct Range { int64_t begin, end; };
  Range part(int64_t count) const { return {count * place / team.size(), count * (place + 1) / team.size()}; }
  bool leads() const { return place == 0; }
  void barrier() const { team.barrier(); }
};

// Runs body(slice index, member) with `size` threads, or fewer, per slice.
template <class F>
void with_teams(const Parallel& parallel, int64_t slices, int size, F&& body) {
  std::vector<std::unique_ptr<Team>> teams;
  for (int64_t s = 0; s < slices; ++s) teams.push_back(std::make_unique<Team>(size));
  parallel(slices * size, [&](int64_t item) {
    Team& team = *teams[item / size];
    const int place = team.meet();
    if (place >= 0) body(item / size, Member{team, place});
  });
}

}  // namespace seqgrad::cpu::SEQGRAD_ISA
