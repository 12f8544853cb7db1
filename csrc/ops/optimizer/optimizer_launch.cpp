// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"
#include "ops/optimizer/optimizer.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kAccess = 16;  // bytes

cuda::Module module("ops/optimizer/optimizer_cuda.cu");

template <class T>
using Step = cuda::Kernel<StepCuda<T>>;

#define RULE(rule, Struct) {module, #rule "_f32_cuda"},
Step<float> kernels_f32[] = {
#include "ops/optimizer/names.inc"
};
#undef RULE
#define RULE(rule, Struct) {module, #rule "_f64_cuda"},
Step<double> kernels_f64[] = {
#include "ops/optimizer/names.inc"
};
#undef RULE

Step<float>& kernel_of(Rule rule, const float*) { return kernels_f32[int(rule)]; }
Step<double>& kernel_of(Rule rule, const double*) { return kernels_f64[int(rule)]; }

}  // namespace

void optimizer_step_launch(const cuda::Stream& stream, Rule rule, const Operand& p,
                           const Operand& grad, const Operand* states, const StepFactors& factors) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = p.size();
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    StepCuda<T> arguments{p.as<T>(), grad.as<const T>(), {}, n, factors};
    for (int k = 0; k < rule_states(rule); ++k) arguments.state[k] = states[k].as<T>();
    kernel_of(rule, t).launch(
        stream, {{cuda::blocks_to_fill(stream, n, kThreads * kAccess / sizeof(T))}, {kThreads}},
        {{"param", p}}, arguments);
  });
}

}  // namespace striate
