// Which instruction set this translation unit is compiled for. Included first by every isa_*.cpp, which defines
// SEQGRAD_ISA (a namespace), SEQGRAD_VECTOR_BYTES and SEQGRAD_VECTOR_REGISTERS. All standard headers come before the
// target pragma: an inline function compiled for AVX-512 must never be the copy the linker keeps for everyone.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif
