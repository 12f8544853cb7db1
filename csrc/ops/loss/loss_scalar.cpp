// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/loss/cross_entropy.inl"
#include "ops/loss/pointwise.inl"

namespace striate {

#define KERNEL(what, dtype, T) \
  void what##_##dtype##_scalar(const CrossEntropyRows<T>& args) { what(args); }
KERNEL(cross_entropy_labels, f32, float)
KERNEL(cross_entropy_labels, f64, double)
KERNEL(cross_entropy_probabilities, f32, float)
KERNEL(cross_entropy_probabilities, f64, double)
#undef KERNEL

#define KERNEL(what, Struct)                                                                 \
  float what##_f32_scalar(const PointwiseRun<float>& run) { return pointwise<Struct>(run); } \
  double what##_f64_scalar(const PointwiseRun<double>& run) { return pointwise<Struct>(run); }
KERNEL(squared_error, SquaredError)
KERNEL(absolute_error, AbsoluteError)
KERNEL(huber, Huber)
KERNEL(binary_logits, BinaryLogits)
#undef KERNEL

}  // namespace striate
