// SPDX-License-Identifier: Apache-2.0
#include "ops/optimizer/optimizer.h"

#include "capi/capi.h"

using namespace striate;

extern "C" striate_status striate_optimizer_step(const char* rule_name, const striate_step* step,
                                                 const striate_tensor* param,
                                                 const striate_tensor* grad_tensor,
                                                 const striate_tensor* const* states,
                                                 int32_t count) {
  return capi::guarded([&] {
    const char* op = "optimizer_step";
    const Rule rule = rule_by_name(&capi::given(op, "rule", rule_name));
    const striate_step& f = capi::given(op, "step", step);
    Operand p = capi::written(op, "param", param),
            grad = capi::read_like(op, "grad", grad_tensor, p);
    if (count != rule_states(rule))
      fail(op, "states", std::to_string(rule_states(rule)) + " arrays", std::to_string(count));
    if (count > 0) capi::given(op, "states", states);
    Operand held[kMostStates];
    for (int32_t i = 0; i < count; ++i) held[i] = capi::written_like(op, "states", states[i], p);
    StepFactors factors;
    factors.sign = f.sign, factors.weight_decay = f.weight_decay, factors.keep = f.keep;
    factors.rate = f.rate, factors.rate_grad = f.rate_grad;
    factors.first = f.first, factors.first_in = f.first_in;
    factors.second = f.second, factors.second_in = f.second_in;
    factors.root = f.root, factors.eps = f.eps;
    optimizer_step(rule, p, grad, held, factors);
  });
}
