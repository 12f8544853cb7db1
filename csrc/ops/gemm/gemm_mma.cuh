// SPDX-License-Identifier: Apache-2.0
// C = clamp(alpha A B + beta C + bias) on tensor cores, by mma.sync: the loop that all types share.
//
//   block 128 x 128 or 128 x 256, eight warps (two rows of four) of 64 x 32 or 64 x 64, four stages
//   of cp.async; a stage is 64 bytes of k (32 elements of 16 bits, 16 floats) of A's and B's tiles,
//   each in its own order
//
// Tiles in shared memory have no padding. Their 16-byte pieces change places instead, so that what
// a warp reads or writes at one time lies in different banks:
//   rows of 64 bytes (k runs along them)   piece p of row r at p ^ (r / 2 % 4): of two rows in 128
//                                          bytes, the next two another permutation
//   longer rows of floats                  p ^ (r % 4 * 2): a fragment is four rows of two pieces
//   longer rows of 16 bits                 p ^ (r % 8): ldmatrix is eight rows of one piece
//
// Bound, in cycles for 16 of k, 16-bit elements, a warp on a quarter of a multiprocessor: reading
// (64 + 32) x 16 elements takes 24 (128 bytes a cycle for four warps), and their mma 32 on an A100
// but some 13 on an H100. The wide tile reads 32 cycles for twice the mma. It has 128 sums a
// thread, so one block a multiprocessor, and half as many blocks to share out: for large C alone.
//
// A policy P says what elements are and how fragments are loaded and multiplied:
//   Element, kStep (of k, an mma), A, B (fragments of 16 and 8), kSumsByStage, Careful
//   P::load_a<along_k>(tile, m, k)
//   P::load_b<along_k, columns>(tile, n, k, first, second)   16 of the columns of a tile
//   P::multiply(sum, a, b)
#pragma once
#include "cuda/device/copy.cuh"
#include "cuda/device/mma.cuh"
#include "ops/gemm/gemm_tile.cuh"

namespace striate {

constexpr int kMmaStages = 4, kMmaThreads = GemmCuda::kThreads;

// The element (row, col) of a tile whose rows have kCols elements.
template <class T, int kCols>
inline int swizzled(int row, int col) {
  constexpr int kPack = Pack<T>::size, kBytes = kCols * int(sizeof(T));
  static_assert(kBytes == 64 || kBytes % 256 == 0, "see above");
  const int turn = kBytes == 64 ? row / 2 % 4 : sizeof(T) == 2 ? row % 8 : row % 4 * 2;
  return row * kCols + (((col / kPack) ^ turn) * kPack | col % kPack);
}

// The tile of kRows rows from row0 on and kCols columns from col0 on; 0 outside the matrix.
template <int kRows, int kCols, class T>
inline void copy_tile(Shared<T> to, const T* from, int64 ld, int row0, int rows, int col0, int cols,
                      bool wide) {
  constexpr int kPack = Pack<T>::size, kPerRow = kCols / kPack;
#pragma unroll 1  // a few rounds; unrolled, their addresses are spilled
  for (int part = 0; part < kRows * kPerRow / kMmaThreads; ++part) {
    const int i = part * kMmaThreads + int(threadIdx.x);
    const int r = i / kPerRow, c = i % kPerRow * kPack;
    const int left = row0 + r < rows ? smaller(cols - col0 - c, kPack) : 0;
    const int inside = left > 0 ? left : 0;
    const T* source = inside > 0 ? from + (row0 + r) * ld + col0 + c : from;
    const Shared<T> target = to + swizzled<T, kCols>(r, c);
    if (wide) {
      copy_async<16>(target, source, inside * int(sizeof(T)));
    } else if constexpr (sizeof(T) == 4) {
#pragma unroll
      for (int e = 0; e < kPack; ++e)
        copy_async<4>(target + e, e < inside ? source + e : from, e < inside ? 4 : 0);
    } else {  // cp.async has no 2 bytes
      Pack<T> x;
#pragma unroll
      for (int e = 0; e < kPack; ++e) x.at[e] = e < inside ? source[e] : T{};
      store16(target, x);
    }
  }
}

template <class P, int kWide, bool kTransA, bool kTransB>
struct MmaGemm {
  using T = typename P::Element;
  static constexpr int kHigh = 128, kDepth = 64 / int(sizeof(T));
  static constexpr int kA = kHigh * kDepth, kStage = kA + kWide * kDepth;  // elements
  static constexpr int kWarpWide = kWide / 4, kPieces = kWarpWide / 8;
  static_assert(kMmaStages * kStage * int(sizeof(T)) == GemmCuda::mma_shared(kWide),
                "launched with");
  // [16 rows][8 columns][of an mma]
  using Sums = float[4][kPieces][4];

  const GemmCuda& g;
  const T *a, *b;
  TilePlace tile;
  Shared<T> stages;

  static Shared<T> stage_of(Shared<T> stages, int step) {
    return stages + step % kMmaStages * kStage;
  }

  // The copies of a step, a group of their own, empty past the end.
  void copy_step(int step, int steps) const {
    if (step < steps) {
      const Shared<T> to = stage_of(stages, step);
      const int k = step * kDepth;
      const bool wide_a = wide_rows(a, g.a_ld), wide_b = wide_rows(b, g.b_ld);
      if constexpr (kTransA)
        copy_tile<kDepth, kHigh>(to, a, g.a_ld, k, g.k, tile.m, g.m, wide_a);
      else
        copy_tile<kHigh, kDepth>(to, a, g.a_ld, tile.m, g.m, k, g.k, wide_a);
      if constexpr (kTransB)
        copy_tile<kWide, kDepth>(to + kA, b, g.b_ld, tile.n, g.n, k, g.k, wide_b);
      else
        copy_tile<kDepth, kWide>(to + kA, b, g.b_ld, k, g.k, tile.n, g.n, wide_b);
    }
    copy_commit();
  }

  // sum += of one stage, this warp's 64 rows from m on and kWarpWide columns from n on.
  template <class Q>
  static void multiply_stage(Shared<T> stage, int m, int n, Sums& sum) {
#pragma unroll
    for (int k = 0; k < kDepth; k += Q::kStep) {
      typename Q::B b[kPieces];
#pragma unroll
      for (int j = 0; j < kPieces; j += 2)
        Q::template load_b<kTransB, kWide>(stage + kA, n + j * 8, k, b[j], b[j + 1]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const typename Q::A a = Q::template load_a<!kTransA>(stage, m + i * 16, k);
#pragma unroll
        for (int j = 0; j < kPieces; ++j) Q::multiply(sum[i][j], a, b[j]);
      }
    }
  }

  // f(row, column, i, j, e): where in the tile this thread's sum[i][j][e] lies.
  template <class F>
  static void each_sum(int m, int n, F f) {
    const int lane = int(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < kPieces; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          f(m + i * 16 + lane / 4 + e / 2 * 8, n + j * 8 + lane % 4 * 2 + e % 2, i, j, e);
  }

  // The sums of a whole tile. Q is P, or what P::Careful names.
  template <class Q>
  void multiply(int m, int n, Sums& sum) const {
    const int steps = ceil_div(g.k, kDepth);
    each_sum(m, n, [&](int, int, int i, int j, int e) { sum[i][j][e] = 0; });
    for (int step = 0; step < kMmaStages - 1; ++step) copy_step(step, steps);
    for (int step = 0; step < steps; ++step) {
      copy_wait<kMmaStages - 2>();
      __syncthreads();  // this stage has come for all, and all are done with the one before
      copy_step(step + kMmaStages - 1, steps);
      if constexpr (Q::kSumsByStage) {
        Sums part = {};
        multiply_stage<Q>(stage_of(stages, step), m, n, part);
        each_sum(m, n, [&](int, int, int i, int j, int e) { sum[i][j][e] += part[i][j][e]; });
      } else {
        multiply_stage<Q>(stage_of(stages, step), m, n, sum);
      }
    }
  }

  // Whether no sum of the block's threads is infinite or NaN.
  static bool all_finite(const Sums& sum) {
    bool odd = false;
    each_sum(0, 0, [&](int, int, int i, int j, int e) {
      odd |= !(fabsf(sum[i][j][e]) <= 3.402823466e38f);
    });
    return !__syncthreads_or(odd);
  }

  // By way of shared memory, the stages' own, so that C is written in whole rows; 128 columns at a
  // time.
  template <class C>
  void write(C* c, int m, int n, const Sums& sum) const {
    constexpr int kPart = 128;
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const Shared<float> rows = dynamic_shared<float>(0, kHigh * kPart);
    copy_wait<0>();
#pragma unroll 1
    for (int part = 0; part < kWide; part += kPart) {
      __syncthreads();  // all are done with what was there
      if (part <= n && n < part + kPart)
        each_sum(m, n - part, [&](int row, int col, int i, int j, int e) {
          rows[swizzled<float, kPart>(row, col)] = sum[i][j][e];
        });
      __syncthreads();
#pragma unroll 1
      for (int row = warp; row < kHigh; row += kMmaThreads / 32) {
        const Pack<float> x = load16(rows + swizzled<float, kPart>(row, lane * 4));
        write_run(g, c + blockIdx.y * g.c_batch, tile.m + row, tile.n + part + lane * 4, x.at);
      }
    }
  }
};

template <class P, int kWide, bool kTransA, bool kTransB>
inline void gemm_mma(const GemmCuda& g) {
  using T = typename P::Element;
  using Product = MmaGemm<P, kWide, kTransA, kTransB>;
  const Product product{g, static_cast<const T*>(g.a) + blockIdx.y * g.a_batch,
                        static_cast<const T*>(g.b) + blockIdx.y * g.b_batch,
                        tile_of_block(g, kWide),
                        dynamic_shared<T>(0, GemmCuda::mma_shared(kWide) / int(sizeof(T)))};
  const int warp = int(threadIdx.x) / 32, m = warp / 4 * 64, n = warp % 4 * Product::kWarpWide;
  typename Product::Sums sum;
  product.template multiply<P>(m, n, sum);
  if constexpr (P::kSumsByStage) {
    if (!Product::all_finite(sum)) product.template multiply<typename P::Careful>(m, n, sum);
  }
  if constexpr (sizeof(T) == 2) {
    if (g.c_is_narrow) return product.write(static_cast<T*>(g.c), m, n, sum);
  }
  product.write(static_cast<float*>(g.c), m, n, sum);
}

}  // namespace striate
