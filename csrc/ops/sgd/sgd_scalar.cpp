// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/sgd/step.inl"

namespace striate {

#define KERNEL(name, T, rule)                                                                   \
  void name(T* p, ptrdiff_t p_step, const T* grad, ptrdiff_t grad_step, T* b, ptrdiff_t b_step, \
            ptrdiff_t n, const SgdFactors& factors) {                                           \
    sgd_loop<SgdRule::rule>(p, p_step, grad, grad_step, b, b_step, n, factors);                 \
  }
KERNEL(sgd_plain_f32_scalar, float, plain)
KERNEL(sgd_momentum_f32_scalar, float, momentum)
KERNEL(sgd_nesterov_f32_scalar, float, nesterov)
KERNEL(sgd_plain_f64_scalar, double, plain)
KERNEL(sgd_momentum_f64_scalar, double, momentum)
KERNEL(sgd_nesterov_f64_scalar, double, nesterov)
#undef KERNEL

}  // namespace striate
