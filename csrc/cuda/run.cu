// One layer along a given plan: the projection of the input, the recurrence, and the products over all time steps that
// make the gradients of input and weights from dz. Which plan, and whether to trust it, is engine.cu's matter.
#include "run.h"

#include "matrix.h"
#include "rows.h"
#include "types.h"

namespace seqgrad::cuda {
namespace {

// x as a matrix [T*N, I]. Rows beyond a sample's length may hold anything, NaN included: `masked` makes them zero.
Matrix input_rows(const Layer& p, bool masked, const Context& context) {
  const int64_t stride = p.N == 1 ? p.x_stride_t : p.x_stride_n;
  const bool even = p.N == 1 || p.T == 1 || p.x_stride_t == p.N * p.x_stride_n;
  if (even && stride >= p.I && !(masked && p.lengths)) return matrix(p.x, p.T * p.N, p.I, stride, p.dtype);
  void* dense = allocate(context, p.T * p.N * p.I, p.dtype);
  launch_gather({p.T, p.N, p.I, masked ? p.lengths : nullptr, p.x, p.x_stride_t, p.x_stride_n, nullptr, false, dense}, p.dtype,
                stream_of(context));
  return matrix(dense, p.T * p.N, p.I, p.dtype);
}

// h_{t-1} of every step as a matrix [T*N, P], zero beyond a sample's length.
Matrix previous_states(const Layer& p, const void* out, const Context& context) {
  void* dense = allocate(context, p.T * p.N * p.P, p.dtype);
  launch_gather({p.T, p.N, p.P, p.lengths, out, p.N * p.P, p.P, p.h0, p.reverse, dense}, p.dtype, stream_of(context));
  return matrix(dense, p.T * p.N, p.P, p.dtype);
}

// Zeroed barrier counters, for the path that has barriers.
unsigned* counters_for(const Plan& plan, const Context& context) {
  if (plan.path != Path::grid) return nullptr;
  const int64_t bytes = plan.tiles.groups * kCounterBytes;
  void* counters = context.allocate(context.self, bytes);
  check(cudaMemsetAsync(counters, 0, bytes, stream_of(context)), "cudaMemsetAsync");
  return static_cast<unsigned*>(counters);
}

// Whether a resident launch took place. A cooperative grid that can't be on the device at once is an answer, not an error.
bool launched(cudaError_t status, const char* kernel) {
  if (status == cudaSuccess) return true;
  cudaGetLastError();  // or it would be reported by whoever asks next
  if (status == cudaErrorCooperativeLaunchTooLarge || status == cudaErrorNotSupported) return false;
  throw LaunchRefused(std::string("seqgrad: ") + kernel + " could not be launched: " + cudaGetErrorString(status) +
                      ". SEQGRAD_CUDA_PATH=step does without it");
}

bool resident_forward(const Layer& p, const ForwardOut& to, const void* wx, const Context& context, const Plan& plan,
                      const ResidentKernels& kernels) {
  ResidentForward r{};
  r.T = p.T, r.N = p.N, r.H = p.H, r.tiles = plan.tiles, r.reverse = p.reverse, r.scale = p.scale, r.lengths = p.lengths;
  r.wx = wx, r.w_hh = p.w_hh, r.b_ih = p.b_ih, r.b_hh = p.b_hh, r.h0 = p.h0, r.c0 = p.c0;
  r.out = to.out, r.hn = to.hn, r.cn = to.cn, r.saved = static_cast<float*>(to.saved);
  r.counters = counters_for(plan, context);
  return launched(kernels.forward(p.cell, p.dtype, plan.path, r, plan.shared_bytes, stream_of(context)), "resident_forward_kernel");
}

bool resident_backward(const Layer& p, const Backward& grads, void* dz, const Context& context, const Plan& plan,
                       const ResidentKernels& kernels) {
  ResidentBackward r{};
  r.T = p.T, r.N = p.N, r.H = p.H, r.tiles = plan.tiles, r.reverse = p.reverse, r.scale = p.scale, r.lengths = p.lengths;
  r.w_hh = p.w_hh, r.h0 = p.h0, r.c0 = p.c0, r.out = grads.out, r.saved = static_cast<const float*>(grads.saved);
  r.grad_out = grads.grad_out, r.grad_out_stride_t = grads.grad_out_stride_t, r.grad_out_stride_n = grads.grad_out_stride_n;
  r.grad_hn = grads.grad_hn, r.grad_cn = grads.grad_cn;
  r.truncate = p.truncate, r.clip = p.clip, r.clip_limit = p.clip_limit;
  const auto place = [&](void* wanted) { return wanted ? wanted : allocate(context, p.N * p.H, p.dtype); };  // these kernels always write
  r.dz = dz, r.dh0 = place(grads.dh0), r.dc0 = p.traits().states == 2 ? place(grads.dc0) : nullptr,
  r.norms = static_cast<float*>(grads.norms), r.norm_rows = norm_rows(p);
  r.counters = counters_for(plan, context);
  if (plan.path == Path::grid && (grads.norms || p.clip == ClipKind::norm))
    r.partial = static_cast<double*>(allocate(context, partial_norms(plan.tiles), DType::float64));
  return launched(kernels.backward(p.cell, p.dtype, plan.path, r, plan.shared_bytes, stream_of(context)), "resident_backward_kernel");
}

// W_ih with its gates in the order of the input planes of dz.
Matrix input_weights(const Layer& p, const Context& context) {
  const int64_t G = p.traits().gates, gate = p.H * p.I;
  if (!p.traits().split) return matrix(p.w_ih, G * p.H, p.I, p.dtype);
  void* turned = allocate(context, G * gate, p.dtype);
  const auto copy = [&](int64_t to, int64_t from, int64_t gates) {
    check(cudaMemcpyAsync(at(turned, to * gate, p.dtype), at(p.w_ih, from * gate, p.dtype), gates * gate * element_size(p.dtype),
                          cudaMemcpyDeviceToDevice, stream_of(context)),
          "cudaMemcpyAsync");
  };
  copy(0, G - 1, 1);
  copy(1, 0, G - 1);
  return matrix(turned, G * p.H, p.I, p.dtype);
}

void input_gradient(const Layer& p, const Backward& grads, const Matrix& dz_in, const Context& context) {
  if (p.I == 0) return;
  multiply(context, matrix(grads.dx, p.T * p.N, p.I, p.dtype), dz_in, input_weights(p, context));
  // Zero times a weight is not zero where the weight is infinite or NaN.
  if (p.lengths) launch_clear_padding(grads.dx, p.lengths, p.T, p.N, p.I, p.dtype, stream_of(context));
}

void weight_gradients(const Layer& p, const Backward& grads, const StepGradients& left, const Context& context) {
  const CellTraits& traits = p.traits();
  const int64_t TN = p.T * p.N, H = p.H, G = traits.gates, stride = traits.planes() * H;
  // dz of `count` planes from `first` on, transposed: [count * H, T*N].
  const auto planes = [&](int first, int64_t count) {
    return transposed(matrix(at(left.dz, first * H, p.dtype), TN, count * H, stride, p.dtype));
  };
  if (grads.dw_ih && p.I > 0) {
    const Matrix x = input_rows(p, true, context);
    const auto product = [&](int64_t gate, int plane, int64_t count) {
      multiply(context, matrix(at(grads.dw_ih, gate * H * p.I, p.dtype), count * H, p.I, p.dtype), planes(plane, count), x);
    };
    if (traits.split) product(G - 1, 0, 1), product(0, 1, G - 1);
    else product(0, 0, G);
  }
  if (grads.dw_hh)
    multiply(context, matrix(grads.dw_hh, G * H, p.P, p.dtype), planes(traits.recurrent_plane(), G),
             previous_states(p, grads.out, context));
  if (grads.dw_hr)
    multiply(context, matrix(grads.dw_hr, p.P, H, p.dtype), transposed(matrix(left.projected, TN, p.P, p.dtype)),
             matrix(left.cells, TN, H, p.dtype));
  if (grads.db_ih || grads.db_hh) sum_bias_gradients(grads.db_ih, grads.db_hh, left.dz, TN, H, traits, p.dtype, context);
}

}  // namespace

Plan plan_for(const Layer& p, Pass pass, const Context& context) {
  const bool clip_norm = pass == Pass::backward && p.clip == ClipKind::norm;
  // A projection is one even where it is square, which plan() can't see; no resident kernel knows it.
  const bool square = p.w_hr && p.P == p.H;
  return plan({p.cell, p.dtype, p.T, p.N, p.H, p.P, pass, clip_norm}, context.limits, square ? "step" : context.wish);
}

bool run_forward(const Layer& p, const ForwardOut& to, const Context& context, const Plan& plan, const ResidentKernels& kernels) {
  const int64_t TN = p.T * p.N, rows = p.traits().gates * p.H;
  void* wx = allocate(context, TN * rows, p.dtype);
  multiply(context, matrix(wx, TN, rows, p.dtype), input_rows(p, false, context), transposed(matrix(p.w_ih, rows, p.I, p.dtype)));
  if (plan.path != Path::step && resident_forward(p, to, wx, context, plan, kernels)) return true;
  step_forward(p, to, wx, context);
  return plan.path == Path::step;
}

bool run_backward(const Layer& p, const Backward& grads, const Context& context, const Plan& plan, const ResidentKernels& kernels) {
  const CellTraits& traits = p.traits();
  const int64_t TN = p.T * p.N, stride = traits.planes() * p.H;
  StepGradients left;
  left.dz = allocate(context, TN * stride, p.dtype);
  if (grads.dw_hr) left.projected = allocate(context, TN * p.P, p.dtype), left.cells = allocate(context, TN * p.H, p.dtype);
  const bool resident = plan.path != Path::step && resident_backward(p, grads, left.dz, context, plan, kernels);
  if (!resident) step_backward(p, grads, left, context);
  if (grads.dx) input_gradient(p, grads, matrix(left.dz, TN, traits.gates * p.H, stride, p.dtype), context);
  weight_gradients(p, grads, left, context);
  return resident || plan.path == Path::step;
}

}  // namespace seqgrad::cuda
