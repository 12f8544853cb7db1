// SPDX-License-Identifier: Apache-2.0
// What the products on CUDA cores and on tensor cores share: which tile of C a block makes, and how
// sums become C.
#pragma once
#include "cuda/device/convert.cuh"
#include "cuda/device/memory.cuh"
#include "ops/gemm/gemm_cuda.h"

namespace striate {

// Tiles in groups of eight rows of tiles, down the columns of a group: the blocks that run at one
// time share rows of A and columns of B in L2.
struct TilePlace {
  int m, n;  // of the tile's first element
};
inline TilePlace tile_of_block(const GemmCuda& g, int wide) {
  constexpr int kGroup = 8;
  const int tiles_m = ceil_div(g.m, GemmCuda::kTileM), tiles_n = ceil_div(g.n, wide);
  const int block = int(blockIdx.x), group = block / (kGroup * tiles_n);
  const int in_group = block - group * kGroup * tiles_n;
  const int rows = smaller(tiles_m - group * kGroup, kGroup);
  return {(group * kGroup + in_group % rows) * GemmCuda::kTileM, in_group / rows * wide};
}

// Whether 16 bytes can be copied at once from the rows of a matrix.
template <class T>
inline bool wide_rows(const T* matrix, int64 ld) {
  return aligned16(matrix) && ld % Pack<T>::size == 0;
}

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

template <int W, class C>
struct alignas(sizeof(C) * W) Run {
  C at[W];
};

// C[row, col … col + W) from their sums, as far as C goes.
template <int W, class C>
inline void write_run(const GemmCuda& g, C* c, int row, int col, const float (&sum)[W]) {
  if (row >= g.m || col >= g.n) return;
  C* to = c + row * g.c_ld + col;
  const float of_row = g.bias_axis == 1 ? g.bias[row] : 0.0f;
  Run<W, C> y;
#pragma unroll
  for (int e = 0; e < W; ++e) {
    if (col + e >= g.n) break;
    float x = g.alpha * sum[e];
    if (g.beta != 0) x = fmaf(g.beta, to_float(to[e]), x);
    x += g.bias_axis == 2 ? g.bias[col + e] : of_row;
    x = g.high < x ? g.high : x;  // NaN stays
    y.at[e] = narrowed<C>(g.low > x ? g.low : x);
  }
  if (col + W <= g.n && reinterpret_cast<uint64>(to) % sizeof y == 0) {
    *reinterpret_cast<Run<W, C>*>(to) = y;
  } else {
#pragma unroll
    for (int e = 0; e < W; ++e)
      if (col + e < g.n) to[e] = y.at[e];
  }
}

}  // namespace striate
