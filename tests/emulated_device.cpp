// The device behind the emulated extension (tests/emulated_extension.py): an H100 with few multiprocessors. Every CUDA
// thread of a cooperative grid is a fiber with a stack of its own, and a process may map 65530 pieces of memory.
#include "control.h"

namespace {

[[maybe_unused]] const bool smaller = [] {
  seqgrad::cuda::DeviceLimits limits = seqgrad::emulator::device();
  limits.multiprocessors = 12;
  seqgrad::emulator::set_device(limits);
  return true;
}();

}  // namespace
