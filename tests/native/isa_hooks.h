// The hooks, compiled once per instruction set: included by isa_*.cpp behind their target pragma. No include guard.
// Arrays of any length are walked in vectors with a ragged tail, as the engine walks the units of a layer.
#include "core/norm.h"
#include "cpu/simd.h"

namespace seqgrad::cpu::SEQGRAD_ISA {
namespace {

// How many values of `count` the vector at i holds.
template <class A>
int lanes_at(int64_t i, int64_t count) {
  return count - i < kLanes<A> ? int(count - i) : kLanes<A>;
}

template <class A>
void tanh(const A* from, A* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<A>) {
    const int lanes = lanes_at<A>(i, count);
    store(to + i, Math<A>::tanh(load(from + i, lanes)), lanes);
  }
}

template <class A>
void sigmoid(const A* from, A* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<A>) {
    const int lanes = lanes_at<A>(i, count);
    store(to + i, Math<A>::sigmoid(load(from + i, lanes)), lanes);
  }
}

template <class S>
void load_storage(const uint16_t* from, float* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<float>) {
    const int lanes = lanes_at<float>(i, count);
    store(to + i, load(reinterpret_cast<const S*>(from + i), lanes), lanes);
  }
}

template <class S>
void store_storage(const float* from, uint16_t* to, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<float>) {
    const int lanes = lanes_at<float>(i, count);
    store(reinterpret_cast<S*>(to + i), load(from + i, lanes), lanes);
  }
}

template <class A>
double norm(const A* values, int64_t count) {
  SquareSum sum;
  for (int64_t i = 0; i < count; i += kLanes<A>) sum.add(load(values + i, lanes_at<A>(i, count)));
  return norm_from(sum.total(), [&](auto&& visit) {
    for (int64_t i = 0; i < count; ++i) visit(double(values[i]));
  });
}

}  // namespace

extern const hooks::Isa kHooks;
const hooks::Isa kHooks{
    SEQGRAD_ISA_NAME,   kLanes<float>,           tanh<float>,         tanh<double>, sigmoid<float>, sigmoid<double>, load_storage<BFloat16>,
    load_storage<Half>, store_storage<BFloat16>, store_storage<Half>, norm<float>,  norm<double>};

}  // namespace seqgrad::cpu::SEQGRAD_ISA
