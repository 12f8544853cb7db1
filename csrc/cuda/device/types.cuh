// SPDX-License-Identifier: Apache-2.0
// Types of device code. NVRTC has no <cstdint>, and no header of the toolkit is needed.
//
// Device code is compiled by NVRTC with
//   --std=c++17 --device-as-default-execution-space --fmad=false --ftz=true -I <csrc>
// so functions need no __device__, multiply-adds are fused where fmaf is written and nowhere else,
// as on the CPU, and denormals are flushed, as on the CPU. tests/cuda_shim compiles the same files
// for the CPU; what it needs otherwise than a GPU is in memory, copy, mma and convert.cuh, of which
// it has its own. Kernels include nothing but these headers and those of their op.
#pragma once

namespace striate {

using int64 = long long;
using uint64 = unsigned long long;
using uint32 = unsigned int;
using uint16 = unsigned short;

// Bits alone; core/registry.h has the same bfloat16 on the host.
struct bfloat16 {
  uint16 bits;
};
struct float16 {
  uint16 bits;
};

inline float to_float(float x) { return x; }
inline float to_float(bfloat16 x) { return __uint_as_float(uint32(x.bits) << 16); }

// To nearest, ties to even; NaN made quiet.
inline bfloat16 to_bfloat16(float x) {
  const uint32 bits = __float_as_uint(x);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return {uint16(nan ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <class T>
inline T smaller(T a, T b) {
  return b < a ? b : a;
}
template <class T>
constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace striate
