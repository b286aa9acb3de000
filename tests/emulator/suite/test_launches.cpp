// The emulator's own tests: what a driver refuses comes back as its error code, what a kernel does wrong as a report that
// names the place, and a failed launch leaves nothing behind.
#include <string>
#include <vector>

#include "../../cpp/check.h"
#include "emulator.h"

using namespace seqgrad;
using namespace seqgrad::emulator;

namespace {

struct Params { int* out; };

__global__ void index_kernel(Params p) { p.out[(blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x] = int(threadIdx.x); }
__global__ void shared_kernel(Params p) {
  cuda::Shared shared;
  int* values = shared.take<int>(64 * 1024 / 4);
  values[threadIdx.x] = 1;
  p.out[blockIdx.x * blockDim.x + threadIdx.x] = values[threadIdx.x];
}
__global__ void lonely_kernel(Params p) {
  if (threadIdx.x != 1) __syncthreads();
  p.out[threadIdx.x] = 1;
}
__global__ void throwing_kernel(Params) { throw std::runtime_error("no CUDA kernel throws"); }

cudaError_t run(void (*kernel)(Params), dim3 grid, int threads, int64_t shared = 0, bool cooperative = false) {
  std::vector<int> out(int64_t(grid.x) * grid.y * threads);
  return cuda::launch(kernel, grid, threads, shared, nullptr, Params{out.data()}, cooperative);
}

std::string report(void (*kernel)(Params), dim3 grid, int threads) {
  try {
    run(kernel, grid, threads);
  } catch (const Report& said) { return said.what(); }
  return "nothing";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct OnDevice {  // for the length of a test
  cuda::DeviceLimits before = device();
  explicit OnDevice(void (*change)(cuda::DeviceLimits&)) {
    cuda::DeviceLimits limits = before;
    change(limits);
    set_device(limits);
  }
  ~OnDevice() { set_device(before); }
};

}  // namespace

TEST(grids_of_two_dimensions_reach_every_block) {
  std::vector<int> out(2 * 3 * 32, -1);
  CHECK(cuda::launch(index_kernel, dim3(2, 3), 32, 0, nullptr, Params{out.data()}, false) == cudaSuccess);
  for (int i = 0; i < 2 * 3 * 32; ++i) CHECK(out[i] == i % 32);
}

TEST(impossible_sizes_are_refused) {
  CHECK(run(index_kernel, dim3(1), 1025) == cudaErrorInvalidConfiguration);
  CHECK(run(index_kernel, dim3(1), 0) == cudaErrorInvalidConfiguration);
  CHECK(run(index_kernel, dim3(0), 32) == cudaErrorInvalidConfiguration);
  CHECK(holds(cudaGetErrorString(cudaErrorInvalidConfiguration), "0 blocks of 32 threads"));
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST(shared_memory_ends_where_the_device_says) {
  const int64_t most = device().shared_per_block;
  CHECK(run(shared_kernel, dim3(1), 32, most) == cudaSuccess);
  CHECK(run(shared_kernel, dim3(1), 32, most + 1) == cudaErrorInvalidValue);
  const OnDevice turing([](cuda::DeviceLimits& d) { d.major = 7, d.minor = 5, d.shared_per_block = 64 * 1024; });
  CHECK(run(shared_kernel, dim3(1), 32, 64 * 1024) == cudaSuccess);
  CHECK(run(shared_kernel, dim3(1), 32, 64 * 1024 + 128) == cudaErrorInvalidValue);
}

// What launch() does for its kernels, a launcher of its own would have to do too.
TEST(more_than_48_kib_needs_the_opt_in) {
  const auto never_asked = [](Params) {};
  const auto call = [](void*, const void*) {};
  const auto* kernel = reinterpret_cast<const void*>(+never_asked);
  const Params params{};
  CHECK(run_kernel(kernel, call, &params, dim3(1), 32, 48 * 1024, false) == cudaSuccess);
  CHECK(run_kernel(kernel, call, &params, dim3(1), 32, 48 * 1024 + 1, false) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 * 1024) == cudaSuccess);
  CHECK(run_kernel(kernel, call, &params, dim3(1), 32, 64 * 1024, false) == cudaSuccess);
  cudaGetLastError();
}

TEST(a_cooperative_grid_must_fit_at_once) {
  const OnDevice small([](cuda::DeviceLimits& d) { d.multiprocessors = 3; });
  CHECK(run(shared_kernel, dim3(9), 32, 64 * 1024, true) == cudaSuccess);  // three of 65 KiB on each of three
  CHECK(run(shared_kernel, dim3(10), 32, 64 * 1024, true) == cudaErrorCooperativeLaunchTooLarge);
  CHECK(holds(last_refusal(), "the device holds 9 at once"));
  CHECK(run(shared_kernel, dim3(10), 32, 64 * 1024, false) == cudaSuccess);
  CHECK(run(index_kernel, dim3(4), 256, 0, true) == cudaErrorCooperativeLaunchTooLarge);  // registers: one block each
  const OnDevice none([](cuda::DeviceLimits& d) { d.cooperative_launch = false; });
  CHECK(run(index_kernel, dim3(1), 32, 0, true) == cudaErrorNotSupported);
  cudaGetLastError();
}

TEST(a_report_names_the_place_and_the_next_launch_is_clean) {
  const std::string said = report(lonely_kernel, dim3(1), 64);
  CHECK(holds(said, "test_launches.cpp:"));
  CHECK(holds(said, "block (0, 0, 0)"));
  CHECK(holds(said, "__syncthreads"));
  CHECK(holds(report(throwing_kernel, dim3(2), 64), "no CUDA kernel throws"));
  for (int i = 0; i < 3; ++i) {
    CHECK(holds(report(lonely_kernel, dim3(2), 96), "__syncthreads"));
    CHECK(report(index_kernel, dim3(3), 96) == "nothing");
  }
}

TEST(device_queries_tell_of_the_modelled_device) {
  const OnDevice odd([](cuda::DeviceLimits& d) { d.major = 8, d.minor = 9, d.multiprocessors = 17; });
  int value = 0;
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0) == cudaSuccess);
  CHECK(value == 17);
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMinor, 0) == cudaSuccess);
  CHECK(value == 9);
  CHECK(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMinor, 1) == cudaErrorInvalidDevice);
  cudaGetLastError();
}
