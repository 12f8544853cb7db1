// SPDX-License-Identifier: Apache-2.0
// Sums and maxima over the lanes of a warp and the threads of a block, in an order that depends on
// nothing but the number of threads. Every thread gets the result.
#pragma once
#include "cuda/device/memory.cuh"

namespace striate {

struct Sum {
  template <class T>
  static T none() {
    return T(0);
  }
  template <class T>
  static T of(T a, T b) {
    return a + b;
  }
};

// NaN if either is, whatever their order.
struct Max {
  template <class T>
  static T none() {
    return T(__uint_as_float(0xff800000u));  // -inf
  }
  template <class T>
  static T of(T a, T b) {
    return a != a ? a : a > b ? a : b;
  }
};

// All 32 lanes take part.
template <class Op, class T>
inline T warp_reduce(T x) {
#pragma unroll
  for (int bits = 16; bits > 0; bits /= 2) x = Op::of(x, __shfl_xor_sync(0xffffffff, x, bits));
  return x;
}

// All of the threads take part: a warp, or a block of kThreads.
template <class Op, int kThreads, class T>
inline T block_reduce(T x) {
  constexpr int kWarps = kThreads / 32;
  static_assert(kThreads % 32 == 0 && (kWarps & (kWarps - 1)) == 0 && kWarps <= 32, "whole warps");
  x = warp_reduce<Op>(x);
  if constexpr (kWarps > 1) {
    STRIATE_SHARED(T, of_warp, kWarps);
    const int lane = threadIdx.x % 32;
    if (lane == 0) of_warp[threadIdx.x / 32] = x;
    __syncthreads();
    x = of_warp[lane % kWarps];
#pragma unroll
    for (int bits = kWarps / 2; bits > 0; bits /= 2)
      x = Op::of(x, __shfl_xor_sync(0xffffffff, x, bits));
    __syncthreads();  // of_warp may be written again
  }
  return x;
}

}  // namespace striate
