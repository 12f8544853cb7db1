// SPDX-License-Identifier: Apache-2.0
// What the launch of a matrix product passes; host and device read this file.
#pragma once

namespace striate {

// C = clamp(alpha A B + beta C + bias), as gemm.h says. Kernels end in two letters, for A and for
// B:
//   n   rows are dense: A [M, K], B [K, N], rows `ld` apart
//   t   columns are: A is the transpose of a matrix [K, M], B of [N, K], whose rows are `ld` apart
// C has dense rows, and overlaps neither A nor B. With beta == 0 it is not read.
//
// A product with few tiles and a long K is cut along K (split-K): part z of grid.z sums `k_part` of
// k, and C is a workspace [parts][batch][M, N] of sums, alpha 1, beta 0, no bias, no clamp. Then
// gemm_parts_cuda.cu adds the parts up in their order.
//
// R is the type of sums: double of products of float64, else float.
template <class R>
struct GemmOf {
  const void *a, *b;
  void* c;
  const R* bias;  // [M] or [N]
  int m, n, k;
  int bias_axis;                        // 0 none, 1 one a row of C, 2 one a column (BiasAxis)
  long long a_ld, b_ld, c_ld;           // in elements
  long long a_batch, b_batch, c_batch;  // between the matrices of a batch; 0 shares one
  R alpha, beta, low, high;             // clamp: -inf and inf for none, 0 and inf for relu
  int c_is_narrow;                      // products of bfloat16 or float16: C is too, else R
  int k_part;                           // of k for a part, a multiple of 32; 0: all, in one part
  long long c_part;                     // between the parts' C

  // Of a block, for all kernels: block 256, grid (ceil(m / 128) * ceil(n / columns), batch, parts),
  // where the name's last number, or else 128, tells the columns.
  static constexpr int kTileM = 128, kThreads = 256;
  // Dynamic shared memory of the kernels on tensor cores, 48 to 96 KiB; the others have none.
  static constexpr int mma_shared(int columns) { return (kTileM + columns) * 256; }
};
using GemmCuda = GemmOf<float>;

}  // namespace striate
