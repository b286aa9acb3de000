// What this machine can do at all: multiply-adds from registers, and reading memory of a given size over and over.
// Compiled on the spot for the processor at hand (benchmarks/_ceilings.py); part of no build.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
typedef float Vector __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / sizeof(float);
constexpr int kChains = kBytes == 64 ? 24 : 12;  // independent sums: more than latency times throughput, fewer than registers
constexpr int kStreams = 8;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Runs `work` on every thread at once, from one start signal; returns units of work per second, over all threads.
template <class Work>
double rate(int threads, double seconds, const Work& work) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false}, stop{false};
  std::vector<double> done(threads), took(threads);
  std::vector<std::thread> team;
  for (int i = 0; i < threads; ++i)
    team.emplace_back([&, i] {
      auto unit = work(i);
      unit();
      ++ready;
      while (!go) std::this_thread::yield();
      const double start = now();
      double units = 0;
      while (!stop) units += unit();
      took[i] = now() - start;
      done[i] = units;
    });
  while (ready < threads) std::this_thread::yield();
  go = true;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  stop = true;
  double all = 0;
  for (int i = 0; i < threads; ++i) {
    team[i].join();
    all += done[i] / took[i];
  }
  return all;
}

volatile float sink;

template <class Body, int... c>
void each(const Body& body, std::integer_sequence<int, c...>) {
  (body(std::integral_constant<int, c>{}), ...);
}

template <int kCount, class Body>
void each(const Body& body) {  // spelled out for the compiler, which keeps the sums in registers only then
  each(body, std::make_integer_sequence<int, kCount>{});
}

}  // namespace

extern "C" double seqgrad_fma_rate(int threads, double seconds) {  // floating-point operations per second
  return rate(threads, seconds, [](int) {
    return [] {
      Vector sum[kChains];
      for (int c = 0; c < kChains; ++c) sum[c] = Vector{} + float(c);
      const Vector a = Vector{} + 0.999999f, b = Vector{} + 1e-6f;
      constexpr int kRounds = 20000;
      for (int r = 0; r < kRounds; ++r) each<kChains>([&](auto c) { sum[c] = sum[c] * a + b; });
      Vector all = sum[0];
      for (int c = 1; c < kChains; ++c) all += sum[c];
      sink = all[0];
      return 2.0 * kRounds * kChains * kLanes;
    };
  });
}

extern "C" double seqgrad_read_rate(int64_t bytes, int threads, double seconds) {  // bytes per second, `bytes` in all
  const int64_t count = bytes / threads / (kStreams * kBytes) * kStreams;
  return rate(threads, seconds, [count](int) {
    const std::shared_ptr<Vector> memory(static_cast<Vector*>(std::aligned_alloc(64, (count * kBytes + 63) / 64 * 64)), std::free);
    Vector* const data = memory.get();
    for (int64_t i = 0; i < count; ++i) data[i] = Vector{} + 1.0f;
    return [memory, data, count] {
      const int repeats = count ? int(1 + 262144 / count) : 1;
      Vector sum[kStreams] = {};
      for (int r = 0; r < repeats; ++r)
        for (int64_t i = 0; i < count; i += kStreams) each<kStreams>([&](auto c) { sum[c] += data[i + c]; });
      Vector all = sum[0];
      for (int c = 1; c < kStreams; ++c) all += sum[c];
      sink = all[0];
      return double(repeats) * double(count) * kBytes;
    };
  });
}
