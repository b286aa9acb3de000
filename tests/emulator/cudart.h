// Between the emulated runtime calls and the launch.
#pragma once

#include <driver_types.h>

#include <cstdint>
#include <string>

namespace seqgrad::emulator {

// The largest dynamic shared memory that cudaFuncSetAttribute has allowed for a kernel; 0: never asked.
int64_t opted_in(const void* kernel);
void set_refusal(cudaError_t code, const std::string& why);

}  // namespace seqgrad::emulator
