// SPDX-License-Identifier: Apache-2.0
// The vocabulary of simd/vec_scalar.h and simd/math.h for one thread, so that functions written
// over Vec<T> (activations, arithmetic) serve the GPU as they are. max(a, b) is a > b ? a : b, so b
// where either is NaN, as there. CUDA's own exp, log, … are accurate to 1 or 2 ULP.
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

template <class T>
struct Vec {
  using Scalar = T;
  T v;
};
template <class T>
using Mask = bool;

template <class T>
inline Vec<T> broadcast(T x) {
  return {x};
}
template <class T>
inline Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.v + b.v};
}
template <class T>
inline Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.v - b.v};
}
template <class T>
inline Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.v * b.v};
}
template <class T>
inline Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.v / b.v};
}
template <class T>
inline Vec<T> operator-(Vec<T> a) {
  return {-a.v};
}
template <class T>
inline bool operator<(Vec<T> a, Vec<T> b) {
  return a.v < b.v;
}
template <class T>
inline bool operator>(Vec<T> a, Vec<T> b) {
  return a.v > b.v;
}
template <class T>
inline bool operator<=(Vec<T> a, Vec<T> b) {
  return a.v <= b.v;
}
template <class T>
inline bool is_nan(Vec<T> x) {
  return x.v != x.v;
}
template <class T>
inline Vec<T> max(Vec<T> a, Vec<T> b) {
  return a.v > b.v ? a : b;
}
template <class T>
inline Vec<T> min(Vec<T> a, Vec<T> b) {
  return a.v < b.v ? a : b;
}
template <class T>
inline Vec<T> select(bool m, Vec<T> a, Vec<T> b) {
  return m ? a : b;
}
template <class T>
inline Vec<T> quotient(Vec<T> a, Vec<T> b) {
  return a / b;
}

inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {fmaf(a.v, b.v, c.v)}; }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {::fma(a.v, b.v, c.v)};
}

// name(x) of CUDA's functions for float and double.
#define STRIATE_UNARY(name, of_float, of_double)                     \
  inline Vec<float> name(Vec<float> x) { return {::of_float(x.v)}; } \
  inline Vec<double> name(Vec<double> x) { return {::of_double(x.v)}; }
STRIATE_UNARY(abs, fabsf, fabs)
STRIATE_UNARY(sqrt, sqrtf, sqrt)
STRIATE_UNARY(exp, expf, exp)
STRIATE_UNARY(expm1, expm1f, expm1)
STRIATE_UNARY(log, logf, log)
STRIATE_UNARY(log1p, log1pf, log1p)
STRIATE_UNARY(log1p_unit, log1pf, log1p)
STRIATE_UNARY(log2, log2f, log2)
STRIATE_UNARY(log10, log10f, log10)
STRIATE_UNARY(tanh, tanhf, tanh)
STRIATE_UNARY(erf, erff, erf)
STRIATE_UNARY(erfc, erfcf, erfc)
#undef STRIATE_UNARY

// Where e^-x overflows, 1 / (1 + inf) is 0, though the result is not: for x < 0 as e^x / (1 + e^x).
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> one{T(1)}, e = exp(-abs(x));
  return (x.v < T(0) ? e : one) / (one + e);
}

// The normal distribution: its cumulative function and its density.
template <class V>
struct Normal {
  V cdf, density;
};
template <class T>
inline Normal<Vec<T>> normal(Vec<T> x) {
  return {Vec<T>{T(0.5)} * erfc(x * Vec<T>{T(-0.70710678118654752)}),
          Vec<T>{T(0.3989422804014327)} * exp(x * x * Vec<T>{T(-0.5)})};
}

}  // namespace striate
