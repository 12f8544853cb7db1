// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/loss/cross_entropy.inl"

namespace striate {

#define KERNEL(what, dtype, T) \
  void what##_##dtype##_avx512(const CrossEntropyRows<T>& args) { what(args); }
KERNEL(cross_entropy_labels, f32, float)
KERNEL(cross_entropy_labels, f64, double)
KERNEL(cross_entropy_probabilities, f32, float)
KERNEL(cross_entropy_probabilities, f64, double)
#undef KERNEL

}  // namespace striate
