// The emulator's own tests: correct kernels give the same bits under every schedule, and run fast enough.
#include <chrono>
#include <vector>

#include "../../cpp/check.h"
#include "emulator.h"

using namespace seqgrad;
using emulator::Policy;

namespace {

struct Sum {
  const float* in;
  float* out;
  int64_t count;
  unsigned* counter;
  int64_t steps;
};

// Every block sums its share by shuffles and a shared array.
__device__ __forceinline__ float block_sum(float value, float* warps) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value += __shfl_xor_sync(0xffffffffu, value, lanes);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += warps[w];
  __syncthreads();
  return total;
}

__global__ void sum_kernel(Sum p) {
  cuda::Shared shared;
  float* warps = shared.take<float>(blockDim.x / 32);
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const float total = block_sum(i < p.count ? p.in[i] : 0.0f, warps);
  if (threadIdx.x == 0) p.out[blockIdx.x] = total;
}

// Per step, every block publishes a value, meets all others, and adds up what they published.
__global__ void meeting_kernel(Sum p) {
  cuda::Shared shared;
  float* warps = shared.take<float>(blockDim.x / 32);
  float carried = p.in[blockIdx.x * blockDim.x + threadIdx.x];
  for (int64_t step = 0; step < p.steps; ++step) {
    const float total = block_sum(carried, warps);
    if (threadIdx.x == 0) __stcg(&p.out[step * gridDim.x + blockIdx.x], total);
    __syncthreads();
    if (threadIdx.x == 0) {
      cuda::AtomicCounter counter(*p.counter);
      counter.fetch_add(1, cuda::kRelease);
      while (counter.load(cuda::kAcquire) < (step + 1) * gridDim.x) {}
    }
    __syncthreads();
    carried = 0;
    for (unsigned b = 0; b < gridDim.x; ++b) carried += __ldcg(&p.out[step * gridDim.x + b]) * 0.001f * float(threadIdx.x % 7);
  }
}

std::vector<float> ramp(int64_t count) {
  std::vector<float> values(count);
  for (int64_t i = 0; i < count; ++i) values[i] = float(i % 13) * 0.37f - 1;
  return values;
}

std::vector<float> sums(int blocks, int threads) {
  const auto in = ramp(int64_t(blocks) * threads - 5);
  std::vector<float> out(blocks, NAN);
  const Sum p{in.data(), out.data(), int64_t(in.size()), nullptr, 0};
  CHECK(cuda::launch(sum_kernel, dim3(blocks), threads, 128, nullptr, p, false) == cudaSuccess);
  return out;
}

std::vector<float> meetings(int blocks, int threads, int64_t steps) {
  const auto in = ramp(int64_t(blocks) * threads);
  std::vector<float> out(blocks * steps, NAN);
  unsigned counter = 0;
  const Sum p{in.data(), out.data(), int64_t(in.size()), &counter, steps};
  CHECK(cuda::launch(meeting_kernel, dim3(blocks), threads, 128, nullptr, p, true) == cudaSuccess);
  CHECK(counter == blocks * steps);
  return out;
}

template <class Run>
void same_under_all_schedules(Run&& run) {
  emulator::set_schedule({});
  const auto expected = run();
  for (float v : expected) CHECK(std::isfinite(v));
  for (int policy = 0; policy < emulator::kPolicies; ++policy)
    for (uint64_t seed = 0; seed < 4; ++seed) {
      check::context = emulator::name(Policy(policy));
      emulator::set_schedule({Policy(policy), seed});
      CHECK(run() == expected);
    }
}

}  // namespace

TEST(blocks_sum_alike_under_all_schedules) {
  same_under_all_schedules([] { return sums(5, 96); });
}

TEST(blocks_that_meet_agree_under_all_schedules) {
  same_under_all_schedules([] { return meetings(4, 64, 6); });
}

TEST(a_ragged_warp_runs) {
  emulator::set_schedule({Policy::uniform, 3});
  struct Params { int* out; };
  std::vector<int> out(2 * 40, -1);
  const auto kernel = [](Params p) {
    const unsigned mask = threadIdx.x < 32 ? 0xffffffffu : 0xffu;
    p.out[blockIdx.x * 40 + threadIdx.x] = __shfl_down_sync(mask, int(threadIdx.x), 1, threadIdx.x < 32 ? 32 : 8);
  };
  CHECK(cuda::launch<Params>(kernel, dim3(2), 40, 0, nullptr, {out.data()}, false) == cudaSuccess);
  for (int i = 0; i < 80; ++i) CHECK(out[i] == (i % 40 == 31 || i % 40 == 39 ? i % 40 : i % 40 + 1));
}

TEST(shuffles_and_votes_follow_the_manual) {
  struct Params { int* out; };
  std::vector<int> out(32 * 8, -1);
  const auto kernel = [](Params p) {
    const int lane = threadIdx.x;
    int* row = p.out + lane * 8;
    row[0] = __shfl_sync(~0u, lane, 5);
    row[1] = __shfl_sync(~0u, lane, 9, 8);  // lane 1 of the own segment
    row[2] = __shfl_xor_sync(~0u, lane, 3);
    row[3] = __shfl_down_sync(~0u, lane, 4, 16);
    row[4] = __shfl_up_sync(~0u, lane, 4, 16);
    row[5] = int(__ballot_sync(~0u, lane % 3 == 0));
    row[6] = __any_sync(~0u, lane == 31) + 2 * __all_sync(~0u, lane < 31);
    row[7] = lane < 16 ? __shfl_xor_sync(0xffffu, lane, 1) : __shfl_xor_sync(0xffff0000u, lane, 2);
  };
  for (int policy = 0; policy < emulator::kPolicies; ++policy) {
    emulator::set_schedule({Policy(policy), 7});
    CHECK(cuda::launch<Params>(kernel, dim3(1), 32, 0, nullptr, {out.data()}, false) == cudaSuccess);
    unsigned thirds = 0;
    for (int lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane) {
      const int expected[] = {5,
                              lane / 8 * 8 + 1,
                              lane ^ 3,
                              lane % 16 < 12 ? lane + 4 : lane,
                              lane % 16 < 4 ? lane : lane - 4,
                              int(thirds),
                              1,
                              lane < 16 ? lane ^ 1 : lane ^ 2};
      for (int i = 0; i < 8; ++i) CHECK(out[lane * 8 + i] == expected[i]);
    }
  }
}

TEST(a_large_launch_is_no_matter_of_minutes) {
  emulator::set_schedule({Policy::thread_priorities, 1});
  const auto start = std::chrono::steady_clock::now();
  const int64_t before = emulator::counts().switches;
  meetings(16, emulator::sanitized() ? 64 : 256, 33);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(emulator::sanitized() || seconds < 10);
  std::printf("     %.3f s, %.1f million switches\n", seconds, double(emulator::counts().switches - before) * 1e-6);
}
