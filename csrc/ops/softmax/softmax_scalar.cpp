// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/softmax/softmax.inl"

namespace striate {

#define KERNEL(what, dtype, T) \
  void what##_##dtype##_scalar(const SoftmaxRows<T>& args) { what(args); }
KERNEL(softmax, f32, float)
KERNEL(softmax, f64, double)
KERNEL(softmax_backward, f32, float)
KERNEL(softmax_backward, f64, double)
KERNEL(log_softmax, f32, float)
KERNEL(log_softmax, f64, double)
KERNEL(log_softmax_backward, f32, float)
KERNEL(log_softmax_backward, f64, double)
#undef KERNEL

}  // namespace striate
