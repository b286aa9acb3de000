// What the CUDA engine borrows from torch for one call: the device, the current stream, memory, matrix products.
// Included by ops.cpp alone, in builds with CUDA kernels. No kernel and no CUDA header here.
//
// With SEQGRAD_EMULATOR the engine runs on the host (tests/emulator): device memory is then the CPU's.
#pragma once

#include <torch/csrc/stable/accelerator.h>

#include <array>
#include <cstdlib>
#include <mutex>

#include "../cuda/engine.h"
#include "../warnings.h"
#include "aten.h"

namespace seqgrad {

#if defined(SEQGRAD_EMULATOR)
constexpr bool kEmulated = true;
#else
constexpr bool kEmulated = false;
#endif

inline bool on_device(const Tensor& t) { return kEmulated ? t.is_cpu() : t.is_cuda(); }
inline int device_index(const Tensor& t) { return kEmulated ? 0 : t.get_device_index(); }

// SEQGRAD_CUDA_PATH, read at every call.
inline std::string wished_path() {
  const char* said = std::getenv("SEQGRAD_CUDA_PATH");
  const std::string wish = said && *said ? said : "auto";
  for (const char* known : {"auto", "block", "grid", "step"})
    if (wish == known) return wish;
  fail("the environment variable SEQGRAD_CUDA_PATH must be auto, block, grid or step, got '" + wish + "'");
}

// The stream that torch works on. Its shim lives in libtorch_cuda, which this binary must not need: it also loads where
// there is none. Whoever holds a CUDA tensor has loaded it already.
inline void* current_stream(int device) {
  using Query = AOTITorchError (*)(int32_t, void**);
  static const Query query = [] {
    void* library = dlopen("libtorch_cuda.so", RTLD_NOLOAD | RTLD_LAZY);
    return reinterpret_cast<Query>(library ? dlsym(library, "aoti_torch_get_current_cuda_stream") : nullptr);
  }();
  if (!query)
    throw std::runtime_error("seqgrad: libtorch_cuda.so is not loaded: CUDA tensors need a torch that is built for NVIDIA's CUDA");
  void* stream = nullptr;
  check_torch(query(device, &stream), "the current CUDA stream");
  return stream;
}

inline void check_cuda(const char* error, int device) {
  if (error) throw std::runtime_error("seqgrad: CUDA device " + std::to_string(device) + ": " + error);
}

inline cuda::DeviceLimits device_limits(int device) {
  static std::mutex guard;
  static std::vector<std::optional<cuda::DeviceLimits>> known;
  const std::lock_guard<std::mutex> lock(guard);
  if (device >= int(known.size())) known.resize(device + 1);
  if (!known[device]) {
    cuda::DeviceLimits limits;
    check_cuda(cuda::query_device(device, &limits), device);
    known[device] = limits;
  }
  return *known[device];
}

class CudaCall {
 public:
  explicit CudaCall(const Tensor& like) : like_(like) {
    context.device = device_index(like);
    context.wish = wished_path();
    if constexpr (!kEmulated) {
      guard_.emplace(context.device);
      check_cuda(cuda::use_device(context.device), context.device);
      context.stream = current_stream(context.device);
    }
    context.limits = device_limits(context.device);
    context.warn = &seqgrad_keep_warning;
    context.self = this;
    context.allocate = [](void* self, int64_t bytes) { return static_cast<CudaCall*>(self)->allocate(bytes); };
    context.multiply = [](void* self, const cuda::Matrix& out, const cuda::Matrix& a, const cuda::Matrix& b) {
      static_cast<const CudaCall*>(self)->multiply(out, a, b);
    };
  }
  CudaCall(const CudaCall&) = delete;
  CudaCall& operator=(const CudaCall&) = delete;

  cuda::Context context;

 private:
  // torch's allocator is ordered by stream: memory that goes back while kernels are queued is reused behind them.
  void* allocate(int64_t bytes) {
    memory_.push_back(empty_on(like_, {bytes}, ScalarType::Byte));
    return data(memory_.back());
  }

  Tensor wrap(const cuda::Matrix& m) const {
    const std::array<int64_t, 2> sizes{m.rows, m.columns}, strides{m.row_stride, m.column_stride};
    return torch::stable::from_blob(m.data, {sizes.data(), 2}, {strides.data(), 2}, like_.device(), scalar_type(m.dtype));
  }

  // 16-bit factors may ask for a float32 product: aten's mm.dtype_out.
  void multiply(const cuda::Matrix& out, const cuda::Matrix& a, const cuda::Matrix& b) const {
    using torch::stable::detail::from;
    if (out.rows == 0 || out.columns == 0) return;
    if (out.dtype == a.dtype) {
      std::array<StableIValue, 3> stack{from(wrap(a)), from(wrap(b)), from(wrap(out))};
      run("aten::mm", "out", stack.data());
    } else {
      std::array<StableIValue, 4> stack{from(wrap(a)), from(wrap(b)), from(scalar_type(out.dtype)), from(wrap(out))};
      run("aten::mm", "dtype_out", stack.data());
    }
  }

  static void run(const char* name, const char* overload, StableIValue* stack) {
    check_torch(torch_call_dispatcher(name, overload, stack, TORCH_ABI_VERSION), std::string(name) + "." + overload);
    torch::stable::detail::to<Tensor>(stack[0]);  // the result is `out` once more: released here
  }

  const Tensor& like_;
  std::optional<torch::stable::accelerator::DeviceGuard> guard_;
  std::vector<Tensor> memory_;
};

}  // namespace seqgrad
