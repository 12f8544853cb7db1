// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/elementwise/binary.inl"

namespace striate {

#define KERNEL(name, T, Op)                                                     \
  void name(const T* a, ptrdiff_t a_step, const T* b, ptrdiff_t b_step, T* out, \
            ptrdiff_t out_step, ptrdiff_t n) {                                  \
    binary_loop<Op>(a, a_step, b, b_step, out, out_step, n);                    \
  }
KERNEL(add_f32_avx2, float, Add)
KERNEL(sub_f32_avx2, float, Sub)
KERNEL(mul_f32_avx2, float, Mul)
KERNEL(div_f32_avx2, float, Div)
KERNEL(maximum_f32_avx2, float, Maximum)
KERNEL(minimum_f32_avx2, float, Minimum)
KERNEL(add_f64_avx2, double, Add)
KERNEL(sub_f64_avx2, double, Sub)
KERNEL(mul_f64_avx2, double, Mul)
KERNEL(div_f64_avx2, double, Div)
KERNEL(maximum_f64_avx2, double, Maximum)
KERNEL(minimum_f64_avx2, double, Minimum)
#undef KERNEL

}  // namespace striate
