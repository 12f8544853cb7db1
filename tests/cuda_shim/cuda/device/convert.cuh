// SPDX-License-Identifier: Apache-2.0
// The words of csrc/cuda/device/convert.cuh, bit by bit.
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

inline float to_float(float16 x) {
  const uint32 sign = uint32(x.bits & 0x8000) << 16, exponent = x.bits >> 10 & 31,
               fraction = x.bits & 1023;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  const float size = exponent ? std::ldexp(float(fraction + 1024), int(exponent) - 25)
                              : std::ldexp(float(fraction), -24);
  return sign ? -size : size;
}

inline float16 to_float16(float x) {
  const uint16 sign = uint16(__float_as_uint(x) >> 16 & 0x8000);
  const double size = std::fabs(double(x));
  if (std::isnan(x)) return {uint16(0x7fff)};
  if (size >= 65520) return {uint16(sign | 0x7c00)};
  int exponent = 0;
  std::frexp(size, &exponent);
  exponent = exponent - 1 < -14 ? -14 : exponent - 1;
  const double steps = std::nearbyint(std::ldexp(size, 10 - exponent));  // of the last place
  return {uint16(sign + int(steps) + (size == 0 ? 0 : (exponent + 14) * 1024))};
}

// To nearest, ties away from zero.
inline uint32 to_tf32(float x) {
  const uint32 bits = __float_as_uint(x);
  return std::isfinite(x) ? (bits + 0x1000u) & 0xffffe000u : bits;
}

}  // namespace striate
