// What one instruction set shows to the tests: the engine's vector math on plain arrays. No torch, no Python.
#pragma once

#include <cstdint>

namespace hooks {

struct Isa {
  const char* name;
  int float_lanes;
  void (*tanh_float)(const float* from, float* to, int64_t count);
  void (*tanh_double)(const double* from, double* to, int64_t count);
  void (*sigmoid_float)(const float* from, float* to, int64_t count);
  void (*sigmoid_double)(const double* from, double* to, int64_t count);
  void (*load_bfloat16)(const uint16_t* from, float* to, int64_t count);
  void (*load_half)(const uint16_t* from, float* to, int64_t count);
  void (*store_bfloat16)(const float* from, uint16_t* to, int64_t count);
  void (*store_half)(const float* from, uint16_t* to, int64_t count);
  double (*norm_float)(const float* values, int64_t count);
  double (*norm_double)(const double* values, int64_t count);
};

}  // namespace hooks
