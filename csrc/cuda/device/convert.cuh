// SPDX-License-Identifier: Apache-2.0
// Conversions that are instructions: IEEE half precision to nearest even, TF32 to nearest, ties
// away.
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

inline float to_float(float16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}
inline float16 to_float16(float x) {
  float16 y;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
  return y;
}

// A float of 11 significant bits, the low 13 of its word 0.
inline uint32 to_tf32(float x) {
  uint32 y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}

}  // namespace striate
