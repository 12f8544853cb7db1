// SPDX-License-Identifier: Apache-2.0
// float as the type of a result: narrowed<T>(x), T float, bfloat16 or float16, to nearest even.
#pragma once
#include "cuda/device/convert.cuh"

namespace striate {

template <class C>
inline C narrowed(float x);
template <>
inline float narrowed<float>(float x) {
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

}  // namespace striate
