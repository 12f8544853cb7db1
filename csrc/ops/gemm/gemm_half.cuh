// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 and of float16 with float32 sums, on tensor cores (gemm_mma.cuh).
//
// Products of two such numbers are exact in float32. Tensor cores cut sums off where float32
// rounds.
//
// gemm_{bf16,f16}_cuda_mma_128x{128,256}_{nn,nt,tn,tt}(GemmCuda): launch as gemm_cuda.h says;
// dynamic shared memory of GemmCuda::mma_shared(128 or 256), more than a launch gets unasked. C is
// float, or of the operands' type.
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

}  // namespace striate

#define KERNEL(name, T, wide, blocks, trans_a, trans_b)                                    \
  extern "C" __global__ void __launch_bounds__(256, blocks) name(striate::GemmCuda args) { \
    striate::gemm_mma<striate::Half<striate::T>, wide, trans_a, trans_b>(args);            \
  }
#define KERNELS(dtype, T, wide, blocks)                                          \
  KERNEL(gemm_##dtype##_cuda_mma_128x##wide##_nn, T, wide, blocks, false, false) \
  KERNEL(gemm_##dtype##_cuda_mma_128x##wide##_nt, T, wide, blocks, false, true)  \
  KERNEL(gemm_##dtype##_cuda_mma_128x##wide##_tn, T, wide, blocks, true, false)  \
  KERNEL(gemm_##dtype##_cuda_mma_128x##wide##_tt, T, wide, blocks, true, true)
