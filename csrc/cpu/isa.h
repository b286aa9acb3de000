// The library headers of the engine. They come before any target pragma (target_*.h): an inline function compiled for
// AVX-512 must never be the copy that the linker keeps for everyone.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../core/kept.h"

// Whether this build holds the engine for AMX's tiles (amx.h): Linux lends them, and assemblers as old as gcc 10 do not know them.
#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) || __GNUC__ >= 11)
#define SEQGRAD_HAS_AMX 1
#endif

// The one library template these units use out of line: taken from dispatch.cpp, which every machine can run.
extern template class std::vector<int64_t>;
