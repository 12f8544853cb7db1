// SPDX-License-Identifier: Apache-2.0
// The vocabulary of simd/vec_scalar.h and simd/math.h for one thread, so that functions written
// over Vec<T> (activations, losses, rules of optimizers, cells, Philox) serve the GPU as they are.
// CUDA's own exp, log, … are accurate to 1 or 2 ULP.
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

using uint8_t = unsigned char;
using uint32_t = uint32;
using uint64_t = uint64;
using int64_t = int64;
using ptrdiff_t = int64;

}  // namespace striate

#include "simd/vec_one.h"

#define STRIATE_UNROLL_ROUNDS _Pragma("unroll")  // simd/philox.h

namespace striate {

// Of one lane, `left` is 1 or more, or there is none.
template <class T>
inline Vec<T> load_filled(const T* p, ptrdiff_t left, T fill) {
  return {left > 0 ? *p : fill};
}
template <class T>
inline void store_first(T* p, Vec<T> x, ptrdiff_t left) {
  if (left > 0) *p = x.v;
}

template <class T>
inline Vec<T> quotient(Vec<T> a, Vec<T> b) {
  return a / b;
}

inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return {fmaf(a.v, b.v, c.v)}; }
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {::fma(a.v, b.v, c.v)};
}

inline Vec<float> copysign(Vec<float> size, Vec<float> sign) {
  return {::copysignf(size.v, sign.v)};
}
inline Vec<double> copysign(Vec<double> size, Vec<double> sign) {
  return {::copysign(size.v, sign.v)};
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
