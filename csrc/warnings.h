// Warnings on their way to Python: kept here by whatever thread has one, taken by seqgrad/_ops.py after a call.
// The stable ABI has no warning that Python could filter, so these are plain C functions for ctypes.
#pragma once

#include <cstdint>

extern "C" {
extern __attribute__((visibility("default"))) int32_t seqgrad_warnings_waiting;  // looked at after every eager call
__attribute__((visibility("default"))) void seqgrad_keep_warning(const char* line);

// All that wait, one a line, and forgets them. Valid until this thread's next call.
__attribute__((visibility("default"))) const char* seqgrad_take_warnings();
}
