// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 and of float16 with float32 sums on tensor cores: a policy of gemm_mma.cuh.
//
// Products of two such numbers are exact in float32. Tensor cores cut sums off where float32
// rounds.
#pragma once
#include "ops/gemm/gemm_mma.cuh"

namespace striate {

template <class T>
struct Half {
  using Element = T;
  static constexpr int kStep = 16;
  static constexpr bool kSumsByStage = false;
  struct A {
    uint32 r[4];
  };
  struct B {
    uint32 r[2];
  };

  // Matrices in the order of A's registers: m, m + 8, then the same 8 of k on.
  template <bool kAlongK>
  static A load_a(Shared<T> tile, int m, int k) {
    const int lane = int(threadIdx.x) % 32, x = lane % 8 + lane / 8 % 2 * 8, y = lane / 16 * 8;
    A a;
    if constexpr (kAlongK)
      ldmatrix_x4<false>(a.r, tile + swizzled<T, 32>(m + x, k + y));
    else
      ldmatrix_x4<true>(a.r, tile + swizzled<T, 128>(k + lane % 8 + y, m + lane / 8 % 2 * 8));
    return a;
  }

  // Of 16 columns: k, k + 8 of the first eight, then of the others.
  template <bool kAlongK, int kWide>
  static void load_b(Shared<T> tile, int n, int k, B& first, B& second) {
    const int lane = int(threadIdx.x) % 32, low = lane % 8, middle = lane / 8 % 2 * 8;
    const int high = lane / 16 * 8;
    uint32 r[4];
    if constexpr (kAlongK)
      ldmatrix_x4<false>(r, tile + swizzled<T, 32>(n + low + high, k + middle));
    else
      ldmatrix_x4<true>(r, tile + swizzled<T, kWide>(k + low + middle, n + high));
    first = {{r[0], r[1]}}, second = {{r[2], r[3]}};
  }

  static void multiply(float (&sum)[4], const A& a, const B& b) { mma_16<T>(sum, a.r, b.r); }
};

template <int kWide>
using Bf16Loop = MmaLoop<Half<bfloat16>, kWide>;
template <int kWide>
using F16Loop = MmaLoop<Half<float16>, kWide>;

}  // namespace striate
