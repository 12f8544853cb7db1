// SPDX-License-Identifier: Apache-2.0
// Matrix products of bfloat16 with float32 sums, batched, with the epilogue of gemm.h.
//
//   C = activation(alpha * A B + beta * C + bias)      A [M, K]  B [K, N]  C [M, N]
//
// Products of two bfloat16 are exact in float32; only sums are rounded, to nearest even. Denormals
// count as 0, operands and sums alike, on every instruction set (it is what vdpbf16ps does). C is
// float32, or bfloat16: then the whole of it is computed in float32 and rounded once. Strides,
// batches, beta == 0 and K == 0 are as in gemm.h.
#pragma once
#include "ops/gemm/gemm.h"

namespace striate {

struct GemmBf16Problem {
  ptrdiff_t batch, m, n, k;
  Matrix<const bfloat16> a, b;
  Matrix<float> c;              // or
  Matrix<bfloat16> narrow_c{};  // where c.data is null
  float alpha = 1, beta = 0;
  Epilogue<float> epilogue{};
};

void gemm_bf16(const GemmBf16Problem& problem);

}  // namespace striate
