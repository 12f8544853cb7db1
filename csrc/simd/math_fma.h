// SPDX-License-Identifier: Apache-2.0
// What simd/math.h has of its own for each instruction set, from multiply-adds and a quotient:
// scalar and AVX2. The bounds are in math.h.
#pragma once

namespace striate {
namespace {

// e^x. 2 ULP. inf above 88.72, 0 below -87.34.
inline Vec<float> exp(Vec<float> x) {
  ExpParts e = exp_parts(exp_range(x));
  return scale2(broadcast(1.0f) + e.p, e.n);
}

// tanh(x) = t / (t + 2), t = expm1(2 |x|). 3 ULP. 1 from 10 on.
inline Vec<float> tanh(Vec<float> x) {
  Vec<float> t = min(broadcast(10.0f), abs(x));
  t = expm1_inside(t + t);
  return copysign(t / (t + broadcast(2.0f)), x);
}

// 1 / (1 + e^-x). 3 ULP, also where it is near 0.
inline Vec<float> sigmoid(Vec<float> x) {
  const Vec<float> one = broadcast(1.0f);
  return one / (one + exp(-x));
}

// a / b.
inline Vec<float> quotient(Vec<float> a, Vec<float> b) { return a / b; }

}  // namespace
}  // namespace striate
