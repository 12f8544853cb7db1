// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/loss/cross_entropy.inl"
#include "ops/loss/squared_error.inl"

namespace striate {

#define KERNEL(what, dtype, T) \
  void what##_##dtype##_avx2(const CrossEntropyRows<T>& args) { what(args); }
KERNEL(cross_entropy_labels, f32, float)
KERNEL(cross_entropy_labels, f64, double)
KERNEL(cross_entropy_probabilities, f32, float)
KERNEL(cross_entropy_probabilities, f64, double)
#undef KERNEL

#define KERNEL(what, dtype, T)                                                        \
  T what##_##dtype##_avx2(const T* x, const T* target, ptrdiff_t n, T scale, T* dx) { \
    return what(x, target, n, scale, dx);                                             \
  }
KERNEL(squared_error, f32, float)
KERNEL(squared_error, f64, double)
#undef KERNEL

}  // namespace striate
