// SPDX-License-Identifier: Apache-2.0
// Mathematical functions over Vec<T>. Included after a vec_<isa>.h.
//
// float: polynomials, their greatest error in units of the last place (ULP) stated beside each and
// held to by tests/test_activation.py over the whole range of floats, for every ISA. Denormal
// arguments and results count as 0, as drivers flush them. double: libm, lane by lane, for gradient
// checks.
#pragma once
#include <cmath>

namespace striate {
namespace {

// exp(x) and exp(x) - 1 share x = n ln 2 + r, |r| <= ln 2 / 2, and
//   exp(r) = 1 + r + r^2 q(r)        q minimax of degree 4, relative error of exp(r) 3.1e-9
// ln 2 is in two parts of which n times the first is exact, so that r is right without a fused
// multiply-add too.
struct ExpParts {
  Vec<float> n, p;  // exp(x) = 2^n (1 + p)
};
inline ExpParts exp_parts(Vec<float> x) {
  // NaN passes: max and min give their second operand then.
  x = max(broadcast(-104.0f), min(broadcast(89.0f), x));
  Vec<float> n = round(x * broadcast(1.44269504f));
  Vec<float> r = fma(n, broadcast(-0.693359375f), x);
  r = fma(n, broadcast(2.12194440e-4f), r);
  Vec<float> q = broadcast(1.3814467e-3f);
  q = fma(q, r, broadcast(8.3687808e-3f));
  q = fma(q, r, broadcast(4.1668393e-2f));
  q = fma(q, r, broadcast(1.6666520e-1f));
  q = fma(q, r, broadcast(4.9999994e-1f));
  return {n, fma(r * r, q, r)};
}

// e^x. 2 ULP. inf above 88.72, 0 below -87.34, NaN for NaN.
inline Vec<float> exp(Vec<float> x) {
  ExpParts e = exp_parts(x);
  return scale2(broadcast(1.0f) + e.p, e.n);
}

template <class F>
inline Vec<double> lane_by_lane(Vec<double> x, F f) {
  double lane[Vec<double>::lanes];
  store(lane, x);
  for (double& v : lane) v = f(v);
  return load(lane);
}
inline Vec<double> exp(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::exp(v); });
}

}  // namespace
}  // namespace striate
