// Small kernels with one bug each, to show that the emulator and its sanitizers catch it; every kernel has a twin
// without the bug, which must pass under all schedules. CMakeLists.txt says which build must catch which bug, and how.
//
//   planted NAME    prints "caught: ..." and ends with 1, or ends with 0: not caught here (a sanitizer ends it its own way)
//   planted twins   runs every kernel without its bug; ends with 0 if nothing was found
#include <cstdio>
#include <cstring>
#include <vector>

#include "emulator.h"
#include "guarded.h"

using namespace seqgrad;
using namespace seqgrad::emulator;

namespace {

constexpr int kThreads = 64, kBlocks = 3;

struct Params {
  float* out;  // [blocks][threads]
  unsigned* counters;
};

__device__ __forceinline__ float* row(const Params& p) { return p.out + blockIdx.x * blockDim.x; }

// Every thread reads what its neighbour wrote.
template <bool kBug>
__global__ void missing_barrier(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  values[threadIdx.x] = float(threadIdx.x);
  if (!kBug) __syncthreads();
  row(p)[threadIdx.x] = values[(threadIdx.x + 1) % kThreads];
}

// The array is written again before everyone has read it.
template <bool kBug>
__global__ void reused_too_early(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  float sum = 0;
  for (int step = 0; step < 3; ++step) {
    values[threadIdx.x] = float(threadIdx.x) + 100.0f * float(step);
    __syncthreads();
    sum += values[(threadIdx.x + 1) % kThreads];
    if (!kBug) __syncthreads();
  }
  row(p)[threadIdx.x] = sum;
}

template <bool kBug>
__global__ void divergent_barrier(Params p) {
  row(p)[threadIdx.x] = 1;
  if (kBug && threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

template <bool kBug>
__global__ void leaves_before_a_barrier(Params p) {
  row(p)[threadIdx.x] = 1;
  if (kBug && threadIdx.x == 40) return;
  __syncthreads();
}

template <bool kBug>
__global__ void writes_past_a_shared_array(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads - 1);
  float* others = shared.take<float>(kThreads);
  others[threadIdx.x] = 2;
  if (threadIdx.x < kThreads - (kBug ? 0 : 1)) values[threadIdx.x] = 1;
  __syncthreads();
  row(p)[threadIdx.x] = others[threadIdx.x];
}

template <bool kBug>
__global__ void reads_past_a_shared_array(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  values[threadIdx.x] = 1;
  __syncthreads();
  row(p)[threadIdx.x] = values[kBug ? threadIdx.x + 1 : threadIdx.x];
}

template <bool kBug>
__global__ void reads_unwritten_shared_memory(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  if (!kBug || threadIdx.x != 7) values[threadIdx.x] = 1;
  __syncthreads();
  row(p)[threadIdx.x] = values[threadIdx.x];
}

template <bool kBug>
__global__ void writes_past_global_memory(Params p) {
  p.out[blockIdx.x * blockDim.x + threadIdx.x + (kBug ? 1 : 0)] = 1;
  if (kBug && blockIdx.x == 0 && threadIdx.x == 0) p.out[0] = 1;
}

template <bool kBug>
__global__ void takes_more_than_the_launch_gave(Params p) {
  cuda::Shared shared;
  shared.take<float>(kThreads)[threadIdx.x] = 1;
  if (kBug) shared.take<float>(4096)[threadIdx.x] = 1;
  row(p)[threadIdx.x] = 1;
}

template <bool kBug>
__global__ void takes_unlike_its_neighbours(Params p) {
  cuda::Shared shared;
  shared.take<float>(kThreads + (kBug && threadIdx.x == 3 ? 1 : 0))[threadIdx.x] = 1;
  row(p)[threadIdx.x] = 1;
}

template <bool kBug>
__global__ void wrong_mask(Params p) {
  row(p)[threadIdx.x] = __shfl_xor_sync(kBug ? 0x7fffffffu : 0xffffffffu, float(threadIdx.x), 1);
}

template <bool kBug>
__global__ void lanes_disagree_on_the_mask(Params p) {
  const unsigned mask = kBug && threadIdx.x % 32 < 16 ? 0xffffu : 0xffffffffu;
  row(p)[threadIdx.x] = __shfl_xor_sync(mask, float(threadIdx.x), 1);
}

template <bool kBug>
__global__ void divergent_shuffle(Params p) {
  float value = float(threadIdx.x);
  if (!kBug || threadIdx.x % 32 != 31) value += __shfl_xor_sync(0xffffffffu, value, 1);
  __syncthreads();
  row(p)[threadIdx.x] = value;
}

template <bool kBug>
__global__ void shuffles_with_a_lane_that_left(Params p) {
  row(p)[threadIdx.x] = 0;
  if (kBug && threadIdx.x % 32 == 5) return;
  row(p)[threadIdx.x] = __shfl_down_sync(0xffffffffu, float(threadIdx.x), 1);
}

// A lane reads what another lane of its warp wrote; shuffles would not order that.
template <bool kBug>
__global__ void missing_syncwarp(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  values[threadIdx.x] = float(threadIdx.x);
  if (!kBug) __syncwarp();
  row(p)[threadIdx.x] = values[threadIdx.x ^ 1];
}

template <bool kBug>
__global__ void shuffle_taken_for_a_fence(Params p) {
  cuda::Shared shared;
  float* values = shared.take<float>(kThreads);
  values[threadIdx.x] = float(threadIdx.x);
  const float sum = __shfl_xor_sync(0xffffffffu, 1.0f, 1);
  if (!kBug) __syncwarp();
  row(p)[threadIdx.x] = values[threadIdx.x ^ 1] + sum;
}

__device__ __forceinline__ void meet(unsigned* counter, unsigned target, bool wait, cuda::MemoryOrder order) {
  __syncthreads();
  if (threadIdx.x == 0) {
    cuda::AtomicCounter arrived(*counter);
    arrived.fetch_add(1, order);
    while (wait && arrived.load(cuda::kAcquire) < target) {}
  }
  __syncthreads();
}

// Every block reads what the next one wrote.
template <bool kBug>
__global__ void missing_grid_barrier(Params p) {
  row(p)[threadIdx.x] = float(blockIdx.x);
  meet(p.counters, gridDim.x, !kBug, cuda::kRelease);
  const float next = __ldcg(p.out + (blockIdx.x + 1) % gridDim.x * blockDim.x + threadIdx.x);
  meet(p.counters, 2 * gridDim.x, true, cuda::kRelease);
  row(p)[threadIdx.x] = next;
}

template <bool kBug>
__global__ void grid_barrier_without_release(Params p) {
  row(p)[threadIdx.x] = float(blockIdx.x);
  meet(p.counters, gridDim.x, true, kBug ? cuda::kRelaxed : cuda::kRelease);
  const float next = __ldcg(p.out + (blockIdx.x + 1) % gridDim.x * blockDim.x + threadIdx.x);
  meet(p.counters, 2 * gridDim.x, true, cuda::kRelease);
  row(p)[threadIdx.x] = next;
}

template <bool kBug>
__global__ void waits_for_a_block_too_many(Params p) {
  row(p)[threadIdx.x] = 1;
  meet(p.counters, gridDim.x + (kBug ? 1 : 0), true, cuda::kRelease);
}

template <bool kBug>
__global__ void meets_in_a_plain_launch(Params p) {
  row(p)[threadIdx.x] = 1;
  meet(p.counters, kBug ? gridDim.x : 1, true, cuda::kRelease);
}

template <bool kBug>
__global__ void blocks_share_an_output(Params p) {
  row(p)[threadIdx.x] = 1;
  if (threadIdx.x == 0) p.out[kBug ? 5 : blockIdx.x * blockDim.x] = float(blockIdx.x);
}

template <bool kBug>
__global__ void misaligned_fragment(Params p) {
  namespace wmma = nvcuda::wmma;
  cuda::Shared shared;
  __half* tile = shared.take<__half>(17 * 32);
  for (int i = threadIdx.x; i < 17 * 32; i += blockDim.x) tile[i] = __float2half_rn(1);
  __syncthreads();
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a;
  wmma::load_matrix_sync(a, tile + (kBug ? 8 : 16), 32);
  row(p)[threadIdx.x] = __half2float(a.x[0]);
}

template <bool kBug>
__global__ void half_a_warp_at_the_tensor_cores(Params p) {
  namespace wmma = nvcuda::wmma;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> a;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> b;
  wmma::fill_fragment(sum, 0.0f);
  wmma::fill_fragment(a, __float2half_rn(1));
  wmma::fill_fragment(b, __float2half_rn(2));
  if (!kBug || threadIdx.x % 32 < 16) wmma::mma_sync(sum, a, b, sum);
  row(p)[threadIdx.x] = sum.x[0];
}

template <bool kBug>
__global__ void unfilled_fragment(Params p) {
  namespace wmma = nvcuda::wmma;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  if (!kBug) wmma::fill_fragment(sum, 0.0f);
  row(p)[threadIdx.x] = sum.x[0];
}

struct Kernel {
  const char* name;
  void (*bug)(Params);
  void (*twin)(Params);
  bool cooperative = false;
  int64_t shared = 2048;
};
#define KERNEL(name) #name, name<true>, name<false>
const Kernel kKernels[] = {
    {KERNEL(missing_barrier)},
    {KERNEL(reused_too_early)},
    {KERNEL(divergent_barrier)},
    {KERNEL(leaves_before_a_barrier)},
    {KERNEL(writes_past_a_shared_array)},
    {KERNEL(reads_past_a_shared_array)},
    {KERNEL(reads_unwritten_shared_memory)},
    {KERNEL(writes_past_global_memory)},
    {KERNEL(takes_more_than_the_launch_gave)},
    {KERNEL(takes_unlike_its_neighbours)},
    {KERNEL(wrong_mask)},
    {KERNEL(lanes_disagree_on_the_mask)},
    {KERNEL(divergent_shuffle)},
    {KERNEL(shuffles_with_a_lane_that_left)},
    {KERNEL(missing_syncwarp)},
    {KERNEL(shuffle_taken_for_a_fence)},
    {KERNEL(missing_grid_barrier), true},
    {KERNEL(grid_barrier_without_release), true},
    {KERNEL(waits_for_a_block_too_many), true},
    {KERNEL(meets_in_a_plain_launch)},
    {KERNEL(blocks_share_an_output)},
    {KERNEL(misaligned_fragment)},
    {KERNEL(half_a_warp_at_the_tensor_cores)},
    {KERNEL(unfilled_fragment)},
};

// What went wrong, or nothing. Different outputs under different schedules count, and NaN counts.
std::string judge(const Kernel& kernel, void (*run)(Params)) {
  std::vector<float> first;
  for (int policy = 0; policy < kPolicies; ++policy)
    for (uint64_t seed = 0; seed < 6; ++seed) {
      set_schedule({Policy(policy), seed});
      const Guarded out(kBlocks * kThreads * int64_t(sizeof(float)));
      unsigned counter = 0;
      try {
        const cudaError_t error = cuda::launch(run, dim3(kBlocks), kThreads, kernel.shared, nullptr,
                                               Params{static_cast<float*>(out.data()), &counter}, kernel.cooperative);
        if (error != cudaSuccess) return std::string("refused: ") + cudaGetErrorString(error);
      } catch (const Report& report) { return report.what(); }
      if (!out.intact()) return "a write outside of global memory";
      const float* values = static_cast<const float*>(out.data());
      for (int i = 0; i < kBlocks * kThreads; ++i)
        if (!std::isfinite(values[i])) return "a NaN in the output";
      if (first.empty()) first.assign(values, values + kBlocks * kThreads);
      if (std::memcmp(first.data(), values, first.size() * sizeof(float)) != 0)
        return std::string("other bits, schedule ") + name(Policy(policy));
    }
  return "";
}

int twins() {
  int failed = 0;
  for (const Kernel& kernel : kKernels) {
    const std::string wrong = judge(kernel, kernel.twin);
    std::printf("%s %s %s\n", wrong.empty() ? "ok  " : "FAIL", kernel.name, wrong.c_str());
    failed += !wrong.empty();
  }
  return failed != 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  if (wanted == "twins") return twins();
  for (const Kernel& kernel : kKernels) {
    if (wanted != kernel.name) continue;
    const std::string wrong = judge(kernel, kernel.bug);
    if (!wrong.empty()) std::printf("caught: %s\n", wrong.c_str());
    return !wrong.empty();
  }
  for (const Kernel& kernel : kKernels) std::printf("%s\n", kernel.name);
  return 2;
}
