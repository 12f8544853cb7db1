// SPDX-License-Identifier: Apache-2.0
// Mathematical functions over Vec<T>. Included after a vec_<isa>.h.
//
// float: polynomials and quotients of them, fitted to be minimax over the stated range; the error
// beside each, in units of the last place (ULP), is held to by tests/test_activation.py over all
// floats on every ISA. Drivers flush denormals, so those count as 0, here as there. Every function
// is right at 0, infinities and NaN, and keeps the sign of zero where the real function is odd.
// double: libm, lane by lane, but for the logarithms; it is there for gradient checks.
#pragma once
#include <cmath>

namespace striate {
namespace {

// exp(x) and exp(x) - 1 share x = n ln 2 + r, |r| <= ln 2 / 2, and
//   exp(r) = 1 + r + r^2 q(r)        q of degree 4, error 3.1e-9 of exp(r)
// ln 2 is in two parts of which n times the first is exact, so that r is right without a fused
// multiply-add too.
struct ExpParts {
  Vec<float> n, p;  // exp(x) = 2^n (1 + p)
};
inline ExpParts exp_parts(Vec<float> x) {  // -104 <= x <= 89
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

// To where e^x is 0 or inf. NaN passes: max and min give their second operand then.
inline Vec<float> exp_range(Vec<float> x) {
  return max(broadcast(-104.0f), min(broadcast(89.0f), x));
}

// e^x - 1 where |x| >= 2^-125 or x = 0, -104 <= x <= 89. Halves keep 2^128 p + 2^128 from meeting
// inf - inf.
inline Vec<float> expm1_inside(Vec<float> x) {
  ExpParts e = exp_parts(x);
  Vec<float> half = scale2(broadcast(0.5f), e.n);
  Vec<float> y = fma(e.p, half, half - broadcast(0.5f));
  return y + y;
}

// e^x - 1. 2 ULP. x itself where that is tiny.
inline Vec<float> expm1(Vec<float> x) {
  return select(abs(x) < broadcast(6e-8f), x, expm1_inside(exp_range(x)));
}

}  // namespace
}  // namespace striate

// What each instruction set spells in its own way:
//   exp       2 ULP. inf above 88.72, 0 below -87.34.
//   tanh      3 ULP. 1 from 10 on.
//   sigmoid   4 ULP, also where it is near 0.
//   quotient  a / b, 2 ULP, for 2^-126 <= |b| < 2^126.
#include STRIATE_MATH

namespace striate {
namespace {

// log(x) = n ln 2 + log(1 + f) with x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2). ln 2 is in two
// parts of which n times the first is exact. float:
//   log(1 + f) = f - f^2 / 2 + f^3 p(f)        p of degree 7, error 5.9e-9 of the logarithm
inline Vec<float> log_parts(Split2<float> x) {
  const Vec<float> f = x.significand - broadcast(1.0f), n = x.exponent;
  Vec<float> p = broadcast(-7.6321458e-2f);
  p = fma(p, f, broadcast(1.2760511e-1f));
  p = fma(p, f, broadcast(-1.3160555e-1f));
  p = fma(p, f, broadcast(1.4201926e-1f));
  p = fma(p, f, broadcast(-1.6623336e-1f));
  p = fma(p, f, broadcast(2.0001219e-1f));
  p = fma(p, f, broadcast(-2.5000822e-1f));
  p = fma(p, f, broadcast(3.3333332e-1f));
  const Vec<float> z = f * f;
  p = fma(n, broadcast(-2.12194440e-4f), p * f * z);
  p = fma(z, broadcast(-0.5f), p);
  return fma(n, broadcast(0.693359375f), f + p);
}
// double: 2 atanh(s), s = f / (2 + f); with h = f^2 / 2 that is f - (h - s (h + z q(z))), z = s^2,
//   q of degree 6, error 2.5e-18
inline Vec<double> log_parts(Split2<double> x) {
  const Vec<double> f = x.significand - broadcast(1.0), n = x.exponent;
  const Vec<double> s = f / (broadcast(2.0) + f), z = s * s;
  Vec<double> q = broadcast(0.14796164359914184);
  q = fma(q, z, broadcast(0.15314029819710738));
  q = fma(q, z, broadcast(0.18183565109396076));
  q = fma(q, z, broadcast(0.22222198558591197));
  q = fma(q, z, broadcast(0.28571428742526007));
  q = fma(q, z, broadcast(0.39999999999414065));
  q = fma(q, z, broadcast(0.66666666666667345));
  const Vec<double> h = f * f * broadcast(0.5);
  const Vec<double> low = fma(s, fma(z, q, h), n * broadcast(1.9082149292705877e-10));
  return fma(n, broadcast(0.6931471803691238), f - (h - low));
}

inline float smallest_normal(float) { return 1.17549435e-38f; }
inline double smallest_normal(double) { return 2.2250738585072014e-308; }

// y, the logarithm of a normal x > 0, with the values that a logarithm has elsewhere: -inf at 0
// (and at denormals, which count as 0), inf at inf, NaN below 0 and at NaN.
template <class T>
inline Vec<T> log_anywhere(Vec<T> x, Vec<T> y) {
  const Vec<T> inf = broadcast(T(HUGE_VAL));
  y = select(x < broadcast(smallest_normal(T())), -inf, y);
  y = select(x == inf, inf, y);
  return select((x < broadcast(T(0))) | is_nan(x), broadcast(T(NAN)), y);
}

// The natural logarithm. 1 ULP.
template <class T>
inline Vec<T> log(Vec<T> x) {
  return log_anywhere(x, log_parts(split2(x)));
}

// To the base 2, exact at powers of 2. 2 ULP.
template <class T>
inline Vec<T> log2(Vec<T> x) {
  Split2<T> parts = split2(x);
  const Vec<T> n = parts.exponent;
  parts.exponent = broadcast(T(0));
  return log_anywhere(x, fma(log_parts(parts), broadcast(T(1.4426950408889634)), n));
}

// To the base 10. 3 ULP.
template <class T>
inline Vec<T> log10(Vec<T> x) {
  return log(x) * broadcast(T(0.43429448190325183));
}

// log(1 + x): log(u) and what u, 1 + x rounded, is off by. 3 ULP. x itself where that is tiny.
template <class T>
inline Vec<T> log1p(Vec<T> x) {
  const Vec<T> one = broadcast(T(1)), u = one + x;
  const Vec<T> off = (x - (u - one)) / u;
  const Mask<T> counts = (u > broadcast(T(0))) & (x < broadcast(T(1 << 20)));
  const Vec<T> y = log(u) + select(counts, off, broadcast(T(0)));
  return select(abs(x) < broadcast(sizeof(T) == 4 ? T(6e-8) : T(1e-16)), x, y);
}

// log(1 + x) for 0 <= x <= 1. 3 ULP.
//   2 atanh(s), s = x / (x + 2) <= 1/3; 2 atanh(s) = t + t^3 p(t^2), t = 2 s, p of degree 3
inline Vec<float> log1p_unit(Vec<float> x) {
  Vec<float> t = quotient(x + x, x + broadcast(2.0f));
  Vec<float> z = t * t;
  Vec<float> p = broadcast(0.14012229f / 256);
  p = fma(p, z, broadcast(0.13999571f / 64));
  p = fma(p, z, broadcast(0.20010850f / 16));
  p = fma(p, z, broadcast(0.33333206f / 4));
  return fma(t * z, p, t);
}

// The normal distribution: its cumulative function and its density.
//   cdf(-u) = exp(-u^2 / 2) P(u) / Q(u), u >= 0      P of degree 4, Q of 5, error 5.1e-9
// Every coefficient is positive, so nothing cancels, and the left tail keeps its digits. Error of
// both: (5 + x^2 / 2) ULP, the second part from rounding x^2.
template <class V>
struct Normal {
  V cdf, density;
};
inline Normal<Vec<float>> normal(Vec<float> x) {
  const Vec<float> bell = exp(x * x * broadcast(-0.5f));
  const Vec<float> u = min(broadcast(14.0f), abs(x));
  Vec<float> p = broadcast(0.0040286165f), q = broadcast(0.010098103f);
  p = fma(p, u, broadcast(0.040041294f)), q = fma(q, u, broadcast(0.10037594f));
  p = fma(p, u, broadcast(0.18147686f)), q = fma(q, u, broadcast(0.46482927f));
  p = fma(p, u, broadcast(0.43591714f)), q = fma(q, u, broadcast(1.1951927f));
  p = fma(p, u, broadcast(0.5f)), q = fma(q, u, broadcast(1.6697192f));
  q = fma(q, u, broadcast(1.0f));
  const Vec<float> tail = bell * quotient(p, q);
  return {select(x > broadcast(0.0f), broadcast(1.0f) - tail, tail), bell * broadcast(0.39894228f)};
}

// 1 - erf(x) = 2 cdf(-sqrt(2) x). (6 + 4 x^2) ULP: rounding sqrt(2) x counts with its square.
inline Vec<float> erfc(Vec<float> x) {
  const Vec<float> c = normal(x * broadcast(-1.41421356f)).cdf;
  return c + c;
}

// 3 ULP up to 1, x p(x^2) with p of degree 6; beyond, 1 - erfc |x|, where erfc < 0.16: 2 ULP.
inline Vec<float> erf(Vec<float> x) {
  const Vec<float> z = x * x;
  Vec<float> p = broadcast(7.85386037e-05f);
  p = fma(p, z, broadcast(-0.000801019333f));
  p = fma(p, z, broadcast(0.00518832765f));
  p = fma(p, z, broadcast(-0.0268538119f));
  p = fma(p, z, broadcast(0.112835851f));
  p = fma(p, z, broadcast(-0.376126258f));
  p = fma(p, z, broadcast(1.12837917f));
  const Vec<float> one = broadcast(1.0f);
  return select(abs(x) <= one, x * p, copysign(one - erfc(abs(x)), x));
}

inline Vec<double> quotient(Vec<double> a, Vec<double> b) { return a / b; }
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
inline Vec<double> expm1(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::expm1(v); });
}
inline Vec<double> tanh(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::tanh(v); });
}
inline Vec<double> sigmoid(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return 1 / (1 + ::exp(-v)); });
}
inline Vec<double> log1p_unit(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::log1p(v); });
}
inline Vec<double> erf(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::erf(v); });
}
inline Vec<double> erfc(Vec<double> x) {
  return lane_by_lane(x, [](double v) { return ::erfc(v); });
}
inline Normal<Vec<double>> normal(Vec<double> x) {
  return {lane_by_lane(x, [](double v) { return 0.5 * ::erfc(-v * 0.70710678118654752); }),
          lane_by_lane(x, [](double v) { return 0.3989422804014327 * ::exp(-0.5 * v * v); })};
}

}  // namespace
}  // namespace striate
