// SPDX-License-Identifier: Apache-2.0
// One step of stochastic gradient descent, in place.
//
//   g = sign * grad + weight_decay * p
//   b = momentum * b + damping * g              (rules momentum and nesterov)
//   p = p - lr * g                              (plain)
//   p = p - lr * b                              (momentum)
//   p = p - lr * (g + momentum * b)             (nesterov)
//
// p, grad and b have one shape and any strides; they must not overlap.
#pragma once
#include "core/operand.h"

namespace striate {

enum class SgdRule { plain, momentum, nesterov };

struct SgdFactors {
  double lr, momentum, damping, weight_decay;
  double sign;  // 1, or -1 to climb
};

// Steps in elements; 1 is the fast case. Plain kernels don't touch b.
template <class T>
using SgdFn = void(T* p, ptrdiff_t p_step, const T* grad, ptrdiff_t grad_step, T* b,
                   ptrdiff_t b_step, ptrdiff_t n, const SgdFactors& factors);

#define ROW(name, T, isa, rule) STRIATE_WITH_##isa(SgdFn<T> name;)
#include "ops/sgd/kernels.inc"
#undef ROW

// b is null for the plain rule. Shapes are checked.
void sgd(SgdRule rule, const Operand& p, const Operand& grad, const Operand* b,
         const SgdFactors& factors);

}  // namespace striate
