// The one adapter between torch's stable ABI and the plain structs of the engines. Included by ops.cpp alone.
#pragma once

#include <dlfcn.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "kept.h"
#include "layer.h"

namespace seqgrad {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

[[noreturn]] inline void fail(const std::string& message) { throw std::invalid_argument("seqgrad: " + message); }

inline std::string list_text(std::initializer_list<int64_t> numbers) {
  std::string text;
  for (int64_t number : numbers) text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

inline std::string shape_text(const Tensor& t) {
  std::string text = "[";
  for (int64_t d = 0; d < t.dim(); ++d) text += (d ? ", " : "") + std::to_string(t.size(d));
  return text + "]";
}

inline const char* dtype_name(ScalarType type) {
  switch (type) {
    case ScalarType::Float: return "float32";
    case ScalarType::Double: return "float64";
    case ScalarType::BFloat16: return "bfloat16";
    case ScalarType::Half: return "float16";
    case ScalarType::Long: return "int64";
    case ScalarType::Int: return "int32";
    case ScalarType::Byte: return "uint8";
    default: return "another dtype";
  }
}

inline DType storage_dtype(const char* name, const Tensor& t) {
  switch (t.scalar_type()) {
    case ScalarType::Float: return DType::float32;
    case ScalarType::Double: return DType::float64;
    case ScalarType::BFloat16: return DType::bfloat16;
    case ScalarType::Half: return DType::float16;
    default: fail(std::string(name) + " must be float32, float64, bfloat16 or float16, got " + dtype_name(t.scalar_type()));
  }
}

inline ScalarType scalar_type(DType type) {
  switch (type) {
    case DType::float64: return ScalarType::Double;
    case DType::bfloat16: return ScalarType::BFloat16;
    case DType::float16: return ScalarType::Half;
    default: return ScalarType::Float;
  }
}

// The type of `saved` and of the norms.
inline ScalarType arithmetic(const Tensor& like) {
  return like.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
}

// Every tensor of a call is held to the shape, dtype and device that x and the weights imply.
struct Checker {
  const Tensor& x;

  void operator()(const char* name, const Tensor& t, ScalarType type, std::initializer_list<int64_t> shape) const {
    int64_t d = 0;
    if (t.dim() != int64_t(shape.size()) || !std::all_of(shape.begin(), shape.end(), [&](int64_t size) { return t.size(d++) == size; }))
      fail(std::string(name) + " must have shape [" + list_text(shape) + "], got " + shape_text(t));
    if (t.scalar_type() != type) fail(std::string(name) + " must be " + dtype_name(type) + ", got " + dtype_name(t.scalar_type()));
    if (t.is_cuda() != x.is_cuda() || t.is_cpu() != x.is_cpu() || (x.is_cuda() && t.get_device_index() != x.get_device_index()))
      fail(std::string(name) + " must be on the same device as the input");
  }
  void operator()(const char* name, const Tensor& t, std::initializer_list<int64_t> shape) const {
    (*this)(name, t, x.scalar_type(), shape);
  }
  void operator()(const char* name, const OptionalTensor& t, std::initializer_list<int64_t> shape) const {
    if (t) (*this)(name, *t, shape);
  }
};

// The reason of torch's last failure on this thread, where it can be asked (torch 2.13); older ones print it to stderr.
inline std::string torch_reason() {
  using What = const char* (*)();
  static const What what = reinterpret_cast<What>(dlsym(RTLD_DEFAULT, "torch_exception_get_what_without_backtrace"));
  const char* text = what ? what() : nullptr;
  return text && *text ? text : "torch said why on stderr";
}

inline void check_torch(AOTITorchError error, const std::string& what) {
  if (error != TORCH_SUCCESS) throw std::runtime_error("seqgrad: " + what + ": " + torch_reason());
}

inline int32_t number(ScalarType type) { return torch::stable::detail::to<int32_t>(torch::stable::detail::from(type)); }

inline void* data(const Tensor& t) { return t.numel() ? t.data_ptr() : nullptr; }
inline void* data(const OptionalTensor& t) { return t ? data(*t) : nullptr; }

inline std::vector<int64_t> dense_strides(std::initializer_list<int64_t> shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(shape.begin()[d], 1);
  return strides;
}

inline std::string no_memory(std::initializer_list<int64_t> shape, ScalarType type) {
  return "no memory for [" + list_text(shape) + "] " + dtype_name(type);
}

// Dense uninitialised memory on the device of `x`.
inline Tensor empty_on(const Tensor& x, std::initializer_list<int64_t> shape, ScalarType type) {
  const std::vector<int64_t> strides = dense_strides(shape);
  int32_t device = 0;
  check_torch(aoti_torch_get_device_type(x.get(), &device), "device of the input");
  AtenTensorHandle handle = nullptr;
  const auto error =
      aoti_torch_empty_strided(int64_t(shape.size()), shape.begin(), strides.data(), number(type), device, x.get_device_index(), &handle);
  if (error != TORCH_SUCCESS) check_torch(error, no_memory(shape, type));
  Tensor made(handle);
  if (x.is_cpu()) prefer_huge_pages(data(made), size_t(made.numel()) * made.element_size());
  return made;
}

// torch's own (2.11), asked for by name: the extension runs with older ones, too.
using FromBlob = AOTITorchError (*)(void*, int64_t, const int64_t*, const int64_t*, int64_t, int32_t, int32_t, int32_t, AtenTensorHandle*,
                                    int32_t, const uint8_t*, int64_t, void (*)(void*, void*), void*);

// The same for what a user never gets hold of: where it is large and on the CPU, its memory is kept for the next one.
// A tensor of such memory cannot grow.
inline Tensor kept_on(const Tensor& x, std::initializer_list<int64_t> shape, ScalarType type) {
  static const FromBlob from_blob = reinterpret_cast<FromBlob>(dlsym(RTLD_DEFAULT, "torch_from_blob"));
  size_t bytes = type == ScalarType::Double ? 8 : 4;
  for (int64_t size : shape) bytes *= size_t(size);
  if (!from_blob || bytes < KeptBlocks::kLeast || !x.is_cpu()) return empty_on(x, shape, type);
  KeptBlocks::Block block{};
  try {
    block = KeptBlocks::ours().take(bytes);
  } catch (const std::bad_alloc&) {
    return empty_on(x, shape, type);  // which says what there is no memory for
  }
  const auto give_back = [](void* memory, void* bytes) {
    KeptBlocks::ours().give_back({static_cast<std::byte*>(memory), reinterpret_cast<size_t>(bytes)});
  };
  AtenTensorHandle handle = nullptr;
  const auto error = from_blob(block.memory, int64_t(shape.size()), shape.begin(), dense_strides(shape).data(), 0, number(type),
                               aoti_torch_device_type_cpu(), -1, &handle, aoti_torch_layout_strided(), nullptr, 0, give_back,
                               reinterpret_cast<void*>(block.bytes));
  if (error != TORCH_SUCCESS) {
    give_back(block.memory, reinterpret_cast<void*>(block.bytes));
    check_torch(error, no_memory(shape, type));
  }
  return Tensor(handle);
}

inline Tensor dense_copy(const Tensor& t) try { return torch::stable::contiguous(t); } catch (const std::runtime_error&) {
  throw std::runtime_error("seqgrad: no dense copy of a tensor " + shape_text(t) + ": " + torch_reason());
}

inline Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : dense_copy(t); }
inline OptionalTensor dense(const OptionalTensor& t) { return t ? OptionalTensor(dense(*t)) : t; }
// For the arrays that engines read with strides: only the last index has to be dense.
inline Tensor dense_rows(const Tensor& t) { return t.size(-1) <= 1 || t.stride(-1) == 1 ? t : dense_copy(t); }

// torch's own thread pool, at most one run per thread and item.
inline Parallel torch_parallel() {
  return {static_cast<int>(torch::stable::get_num_threads()), [](int64_t count, void (*run)(void*, int64_t), void* context) {
            torch::stable::parallel_for(0, count, 1, [=](int64_t begin, int64_t end) {
              for (int64_t i = begin; i < end; ++i) run(context, i);
            });
          }};
}

}  // namespace seqgrad
