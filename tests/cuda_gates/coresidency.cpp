// Asks plan() about every cell, type, pass and a grid of sizes on the devices it is told, and NVIDIA's own occupancy
// arithmetic whether each resident plan fits with the registers that the kernel really has. Reads lines of
//   device NAME MAJOR MINOR MULTIPROCESSORS SHARED_BLOCK SHARED_MULTIPROCESSOR REGISTERS L2 COOPERATIVE
//   kernel ARCHITECTURE PASS CELL DTYPE REGISTERS SHARED MAX_THREADS
// and writes `broken ...` lines and, per device, how many plans of each path it saw. No torch, no GPU.
#include <cuda_occupancy.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "cuda/plan.h"

namespace {

using namespace seqgrad;
using namespace seqgrad::cuda;

constexpr const char* kTypes[] = {"float32", "float64", "bfloat16", "float16"};
constexpr const char* kPasses[] = {"forward", "backward"};

struct Device {
  std::string name;
  DeviceLimits limits;
};
struct Kernel {
  int registers = 0, max_threads = 0;
  size_t shared = 0;
};
using Key = std::tuple<int, std::string, std::string, std::string>;  // architecture, pass, cell, type

std::vector<Device> devices;
std::map<Key, Kernel> kernels;

void read() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "device") {
      Device d;
      DeviceLimits& l = d.limits;
      words >> d.name >> l.major >> l.minor >> l.multiprocessors >> l.shared_per_block >> l.shared_per_multiprocessor >>
          l.registers_per_multiprocessor >> l.l2_bytes >> l.cooperative_launch;
      devices.push_back(d);
    } else {
      Kernel k;
      int architecture = 0;
      std::string pass, cell, type;
      words >> architecture >> pass >> cell >> type >> k.registers >> k.shared >> k.max_threads;
      kernels[{architecture, pass, cell, type}] = k;
    }
    if (!words) throw std::runtime_error("not understood: " + line);
  }
}

// The code that a device runs: the newest of its major version that is not newer than itself.
int architecture_for(const DeviceLimits& l) {
  int best = 0;
  for (const auto& [key, kernel] : kernels)
    if (const int a = std::get<0>(key); a / 10 == l.major && a % 10 <= l.minor) best = std::max(best, a);
  return best;
}

int threads_per_multiprocessor(int architecture) {
  return architecture == 75 ? 1024 : architecture == 86 || architecture == 87 || architecture == 89 || architecture >= 120 ? 1536 : 2048;
}

// Blocks of this kernel that one multiprocessor of the device holds; negative: the arithmetic itself refuses.
int blocks_per_multiprocessor(const DeviceLimits& l, const Kernel& kernel, const Plan& p) {
  cudaOccDeviceProp device;
  device.computeMajor = l.major, device.computeMinor = l.minor;
  device.maxThreadsPerBlock = 1024;
  device.maxThreadsPerMultiprocessor = threads_per_multiprocessor(l.major * 10 + l.minor);
  device.regsPerBlock = device.regsPerMultiprocessor = static_cast<int>(l.registers_per_multiprocessor);
  device.warpSize = 32;
  device.sharedMemPerBlock = 48 * 1024;
  device.sharedMemPerMultiprocessor = static_cast<size_t>(l.shared_per_multiprocessor);
  device.numSms = l.multiprocessors;
  device.sharedMemPerBlockOptin = static_cast<size_t>(l.shared_per_block);
  device.reservedSharedMemPerBlock = l.major >= 8 ? 1024 : 0;
  cudaOccFuncAttributes function;
  function.maxThreadsPerBlock = kernel.max_threads;
  function.numRegs = kernel.registers;
  function.sharedSizeBytes = kernel.shared;
  function.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  function.maxDynamicSharedSizeBytes = static_cast<size_t>(p.shared_bytes);
  function.numBlockBarriers = 1;
  const cudaOccDeviceState state;
  cudaOccResult result;
  const cudaOccError error =
      cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &function, &state, p.tiles.threads, static_cast<size_t>(p.shared_bytes));
  return error == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : -static_cast<int>(error);
}

// What is wrong with a resident plan, or an empty string.
std::string broken(const DeviceLimits& l, const Kernel& kernel, const Plan& p) {
  const std::string blocks = std::to_string(p.tiles.slices * p.tiles.groups);
  const std::string shape = std::to_string(p.tiles.threads) + " threads of " + std::to_string(kernel.registers) + " registers and " +
                            std::to_string(p.shared_bytes) + " bytes of shared memory";
  if (p.tiles.threads > kernel.max_threads) return shape + ": the kernel takes at most " + std::to_string(kernel.max_threads) + " threads";
  const int fit = blocks_per_multiprocessor(l, kernel, p);
  if (fit < 0) return "the occupancy arithmetic refuses the input, error " + std::to_string(-fit);
  if (fit == 0) return "no multiprocessor has room for a block of " + shape;
  if (p.path == Path::grid && p.tiles.slices * p.tiles.groups > l.multiprocessors)
    return blocks + " blocks that wait for each other on " + std::to_string(l.multiprocessors) + " multiprocessors";
  return "";
}

class Survey {
 public:
  explicit Survey(const Device& device) : device(device), architecture(architecture_for(device.limits)) {}

  void run() {
    for (int cell = 0; cell < kCellCount; ++cell)
      for (DType type : {DType::float32, DType::float16, DType::bfloat16})
        for (Pass pass : {Pass::forward, Pass::backward})
          for (int64_t N : {1, 2, 5, 16, 31, 64, 100, 256, 2048})
            for (int64_t H : sizes())
              for (const char* wish : {"block", "grid"}) ask({static_cast<CellId>(cell), type, 100, N, H, H, pass, H % 2 == 1}, wish);
    std::cout << "planned " << device.name << " " << architecture << " " << seen[0] << " " << seen[1] << " " << seen[2] << "\n";
  }

 private:
  const Device& device;
  int architecture;
  int64_t seen[3] = {};
  std::set<std::string> said;

  // Around the edges of tiles while they are small, then ever wider apart, up to where nothing is resident any more.
  static std::vector<int64_t> sizes() {
    std::vector<int64_t> all;
    for (int64_t h = 1; h <= 4500; h += h < 40 ? 1 : h < 200 ? 7 : h < 1000 ? 37 : 129) all.push_back(h);
    for (int64_t h = 64; h <= 4096; h *= 2) all.push_back(h);
    return all;
  }

  void ask(const Question& q, const char* wish) {
    const Plan p = plan(q, device.limits, wish);
    ++seen[static_cast<int>(p.path)];
    if (p.path == Path::step) return;
    const std::string pass = kPasses[static_cast<int>(q.pass)], cell = kCells[static_cast<int>(q.cell)].name;
    const std::string type = kTypes[static_cast<int>(q.dtype)];
    const std::string what = pass + " " + cell + " " + type;
    const auto kernel = kernels.find({architecture, pass, cell, type});
    const std::string wrong =
        kernel == kernels.end() ? "planned, but there is no such kernel for the device" : broken(device.limits, kernel->second, p);
    if (wrong.empty() || !said.insert(what + name(p.path)).second) return;  // one example of each kind is enough
    std::cout << "broken " << device.name << " " << what << ", path " << name(p.path) << ", N " << q.N << ", H " << q.H << ": " << wrong
              << "\n";
  }
};

}  // namespace

int main() {
  read();
  for (const Device& device : devices) Survey(device).run();
}
