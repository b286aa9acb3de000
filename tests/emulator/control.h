// What a test sets and asks: the modelled device, the schedule, the reports. Host side; kernels see emulator.h.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "cuda/device.h"

namespace seqgrad::emulator {

// Who runs next, of all CUDA threads that could. Every policy is a pure function of its seed.
enum class Policy : int {
  in_order,           // the lowest block and thread, as far as it gets
  reverse,            // the highest
  uniform,            // anyone, at every switch
  thread_priorities,  // a random ranking of threads, new for every launch; the first that can runs
  warp_priorities,    // a random ranking of blocks, and of warps in each
};
constexpr int kPolicies = 5;
const char* name(Policy policy);

struct Schedule {
  Policy policy = Policy::in_order;
  uint64_t seed = 0;
};

// Of all launches from now on. The device starts as an H100.
void set_schedule(const Schedule& schedule);
const Schedule& schedule();
void set_device(const cuda::DeviceLimits& limits);
const cuda::DeviceLimits& device();

// What a kernel did wrong that a real device would answer with a hang, with garbage or not at all.
class Report : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the driver would refuse comes back as an error code; the details are here, and in cudaGetErrorString.
const std::string& last_refusal();

// Streams are being captured into a graph: queries say so, and waiting for one fails. (Work still runs at once.)
void set_capturing(bool on);

// Whether this executable carries ASan or TSan.
bool sanitized();

struct Counts { int64_t launches, cooperative, switches; };
Counts counts();  // since the process began

}  // namespace seqgrad::emulator
