// What a CUDA engine needs to know of a device. A plain struct: tests fill it by hand for devices nobody has here.
#pragma once

#include <cstdint>

namespace seqgrad::cuda {

struct DeviceLimits {
  int major = 0, minor = 0;      // compute capability
  int multiprocessors = 0;       // never assumed: a MIG slice has few
  int64_t shared_per_block = 0;  // bytes, after opting in
  int64_t shared_per_multiprocessor = 0;
  int64_t registers_per_multiprocessor = 0;
  int64_t l2_bytes = 0;
  bool cooperative_launch = false;
};

// Fills `limits` for device `index`; the CUDA runtime's own message on failure (no driver, no such device), else null.
const char* query_device(int index, DeviceLimits* limits);

// Makes device `index` current for this thread; as above on failure. The runtime is linked statically, so torch's own
// cudaSetDevice speaks to another copy of it.
const char* use_device(int index);

// Number of devices; 0 where there is no driver.
int device_count();

}  // namespace seqgrad::cuda
