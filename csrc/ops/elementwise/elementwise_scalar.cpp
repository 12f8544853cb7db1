// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/elementwise/binary.inl"

namespace striate {

#define KERNEL(name, T, Op)                                                     \
  void name(const T* a, ptrdiff_t a_step, const T* b, ptrdiff_t b_step, T* out, \
            ptrdiff_t out_step, ptrdiff_t n) {                                  \
    binary_loop<Op>(a, a_step, b, b_step, out, out_step, n);                    \
  }
KERNEL(add_f32_scalar, float, Add)
KERNEL(sub_f32_scalar, float, Sub)
KERNEL(mul_f32_scalar, float, Mul)
KERNEL(div_f32_scalar, float, Div)
KERNEL(maximum_f32_scalar, float, Maximum)
KERNEL(minimum_f32_scalar, float, Minimum)
KERNEL(add_f64_scalar, double, Add)
KERNEL(sub_f64_scalar, double, Sub)
KERNEL(mul_f64_scalar, double, Mul)
KERNEL(div_f64_scalar, double, Div)
KERNEL(maximum_f64_scalar, double, Maximum)
KERNEL(minimum_f64_scalar, double, Minimum)
#undef KERNEL

}  // namespace striate
