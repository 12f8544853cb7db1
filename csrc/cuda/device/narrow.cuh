// SPDX-License-Identifier: Apache-2.0
// Elements and their sums: float of float, bfloat16 and float16, double of double.
//
//   SumType<T>         the type that products of T are summed in
//   widened(x)           an element as a sum, exact
//   narrowed<T>(x)       a sum as an element, to nearest even
//   multiply_add(a, b, c)   a b + c of sums, rounded once
#pragma once
#include "cuda/device/convert.cuh"

namespace striate {

template <class T>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<double> {
  using Type = double;
};
template <class T>
using SumType = typename SumOf<T>::Type;

template <class T>
inline float widened(T x) {
  return to_float(x);
}
inline double widened(double x) { return x; }

template <class C>
inline C narrowed(SumType<C> x);
template <>
inline float narrowed<float>(float x) {
  return x;
}
template <>
inline double narrowed<double>(double x) {
  return x;
}
template <>
inline bfloat16 narrowed<bfloat16>(float x) {
  return to_bfloat16(x);
}
template <>
inline float16 narrowed<float16>(float x) {
  return to_float16(x);
}

inline float multiply_add(float a, float b, float c) { return ::fmaf(a, b, c); }
inline double multiply_add(double a, double b, double c) { return ::fma(a, b, c); }

}  // namespace striate
