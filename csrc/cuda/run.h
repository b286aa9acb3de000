// The recurrence of one layer along a given plan, forward and backward: what engine.cu surrounds with products over all
// time steps, and what self_check.cu compares between paths.
#pragma once

#include <stdexcept>

#include "engine.h"
#include "resident.h"
#include "step.h"

namespace seqgrad::cuda {

// The launchers of the resident kernels, as data: tests put broken ones in their place.
struct ResidentKernels {
  decltype(&launch_forward) forward = &launch_forward;
  decltype(&launch_backward) backward = &launch_backward;
};

// A resident kernel that could not be launched.
struct LaunchRefused : std::runtime_error { using std::runtime_error::runtime_error; };

// One pass of one layer as plan() is asked about it.
Plan plan_for(const Layer& layer, Pass pass, const Context& context);

// Forward: projection and recurrence. Backward: recurrence, then the products over all steps; null gradients are not
// computed. A cooperative grid that
// the device refuses to hold at once takes path `step` instead and returns false; other refusals throw LaunchRefused.
bool run_forward(const Layer& layer, const ForwardOut& to, const Context& context, const Plan& plan, const ResidentKernels& kernels);
bool run_backward(const Layer& layer, const Backward& grads, const Context& context, const Plan& plan, const ResidentKernels& kernels);

}  // namespace seqgrad::cuda
