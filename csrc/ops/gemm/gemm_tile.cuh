// SPDX-License-Identifier: Apache-2.0
// What the products on CUDA cores and on tensor cores share: which tile of C a block makes, where
// its operands come from, and how sums become C.
//
// A source is a matrix as a product sees it, wherever its elements lie: a dense one (Matrix), or
// the pixels under the taps of a convolution (ops/conv2d/conv2d_tiles.cuh). It has
//   Element, first   the type, and an address that may be named though nothing of it is read
//   wide             whether a Pack that begins at a multiple of its size is one access of 16 bytes
//   unroll           how many addresses a loop should compute side by side
//   at(row, col)     a Span: the address of an element, and how many from there on lie beside each
//                    other and in the matrix; 0 or less outside
#pragma once
#include "cuda/device/memory.cuh"
#include "cuda/device/narrow.cuh"
#include "ops/gemm/gemm_cuda.h"

namespace striate {

// Tiles in groups of eight rows of tiles, down the columns of a group: the blocks that run at one
// time share rows of A and columns of B in L2.
struct TilePlace {
  int m, n;  // of the tile's first element
};
template <class R>
inline TilePlace tile_of_block(const GemmOf<R>& g, int wide) {
  constexpr int kGroup = 8;
  const int tiles_m = ceil_div(g.m, GemmCuda::kTileM), tiles_n = ceil_div(g.n, wide);
  const int block = int(blockIdx.x), group = block / (kGroup * tiles_n);
  const int in_group = block - group * kGroup * tiles_n;
  const int rows = smaller(tiles_m - group * kGroup, kGroup);
  return {(group * kGroup + in_group % rows) * GemmCuda::kTileM, in_group / rows * wide};
}

template <class T>
struct Span {
  const T* at;
  int count;
};

// Whether 16 bytes can be copied at once from rows that are `ld` apart.
template <class T>
inline bool wide_rows(const T* matrix, int64 ld) {
  return aligned16(matrix) && ld % Pack<T>::size == 0;
}

template <class T>
struct Matrix {
  using Element = T;
  const T* first;
  int64 ld;
  int rows, cols;
  bool wide;
  static constexpr int unroll = 4;

  Matrix(const void* at, int64 ld, int rows, int cols)
      : first(static_cast<const T*>(at)),
        ld(ld),
        rows(rows),
        cols(cols),
        wide(wide_rows(first, ld)) {}
  Span<T> at(int row, int col) const {
    return {first + row * ld + col, row < rows ? cols - col : 0};
  }
};

// A source along whose rows k runs, or one whose rows are k by k.
template <class Source, bool kAlongK>
struct Operand {
  static constexpr bool along_k = kAlongK;
  static constexpr int unroll = Source::unroll;
  Source source;
};

// The part of k that a block sums, [begin, end): nothing where it begins past the end.
struct PartOfK {
  int begin, end;
  template <class R>
  explicit PartOfK(const GemmOf<R>& g, int part = int(blockIdx.z))
      : begin(g.k_part ? part * g.k_part : 0),
        end(g.k_part ? smaller(begin + g.k_part, g.k) : g.k) {}
};

constexpr int64 kNoRow = -0x7fffffffffffffffll - 1;

// Where row i of C begins, in elements from its first (rows may run backwards), or kNoRow for one
// that C has not: dense rows.
struct DenseRows {
  int64 first, ld;
  int64 operator()(int row) const { return first + row * ld; }
};
template <class R>
inline DenseRows dense_rows(const GemmOf<R>& g) {
  return {blockIdx.y * g.c_batch + (g.k_part ? blockIdx.z * g.c_part : 0), g.c_ld};
}

// A matrix product by a loop: Loop::run(g, a, b, part of k, rows of C), a and b Operands;
// Loop::wide is the columns of a tile. SimtLoop and MmaLoop are such.
template <class Loop, bool kTransA, bool kTransB, class R>
inline void gemm(const GemmOf<R>& g) {
  using T = typename Loop::Element;
  const PartOfK k(g);
  const T* a = static_cast<const T*>(g.a) + blockIdx.y * g.a_batch;
  const T* b = static_cast<const T*>(g.b) + blockIdx.y * g.b_batch;
  const Operand<Matrix<T>, !kTransA> from_a{
      {a, g.a_ld, kTransA ? k.end : g.m, kTransA ? g.m : k.end}};
  const Operand<Matrix<T>, kTransB> from_b{
      {b, g.b_ld, kTransB ? g.n : k.end, kTransB ? k.end : g.n}};
  Loop::run(g, from_a, from_b, k, dense_rows(g));
}

// C[row, col … col + W) from their sums, as far as C goes.
template <int W, class C, class Rows, class R>
inline void write_run(const GemmOf<R>& g, C* c, const Rows& rows, int row, int col,
                      const R (&sum)[W]) {
  if (row >= g.m || col >= g.n) return;
  const int64 first = rows(row);
  if (first == kNoRow) return;
  C* to = c + first + col;
  const R of_row = g.bias_axis == 1 ? g.bias[row] : R(0);
  Run<W, C> y;
#pragma unroll
  for (int e = 0; e < W; ++e) {
    if (col + e >= g.n) break;
    R x = g.alpha * sum[e];
    if (g.beta != 0) x = multiply_add(g.beta, widened(to[e]), x);
    x += g.bias_axis == 2 ? g.bias[col + e] : of_row;
    x = g.high < x ? g.high : x;  // NaN stays
    y.at[e] = narrowed<C>(g.low > x ? g.low : x);
  }
  if (col + W <= g.n && reinterpret_cast<uint64>(to) % sizeof y == 0) {
    store_run(to, y);
  } else {
#pragma unroll
    for (int e = 0; e < W; ++e)
      if (col + e < g.n) to[e] = y.at[e];
  }
}

}  // namespace striate
