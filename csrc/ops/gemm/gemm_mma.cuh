// SPDX-License-Identifier: Apache-2.0
// C = clamp(alpha A B + beta C + bias) on tensor cores, by mma.sync: the loop that all types share,
// of matrix products and of convolutions.
//
//   block 128 x 64, 128 or 256, eight warps (two rows of four) of 64 x 16, 32 or 64, four stages of
//   cp.async; a stage is 64 bytes of k (32 elements of 16 bits, 16 floats) of A's and B's tiles,
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
  static_assert(kBytes == 64 || kBytes % 256 == 0 || (kBytes == 128 && sizeof(T) == 2),
                "see above");
  const int turn = kBytes == 64 ? row / 2 % 4 : sizeof(T) == 2 ? row % 8 : row % 4 * 2;
  return row * kCols + (((col / kPack) ^ turn) * kPack | col % kPack);
}

// The tile of kRows rows from row0 on and kCols columns from col0 on; 0 outside the source.
template <int kRows, int kCols, class T, class Source>
inline void copy_tile(Shared<T> to, const Source& from, int row0, int col0) {
  constexpr int kPack = Pack<T>::size, kPerRow = kCols / kPack;
#pragma unroll 1  // a few rounds; unrolled, their addresses are spilled
  for (int part = 0; part < kRows * kPerRow / kMmaThreads; ++part) {
    const int i = part * kMmaThreads + int(threadIdx.x);
    const int r = i / kPerRow, c = i % kPerRow * kPack;
    const Shared<T> target = to + swizzled<T, kCols>(r, c);
    if (from.wide) {
      const Span<T> pack = from.at(row0 + r, col0 + c);
      copy_async<16>(target, pack.count > 0 ? pack.at : from.first,
                     pack.count > 0 ? smaller(pack.count, kPack) * int(sizeof(T)) : 0);
    } else if constexpr (sizeof(T) == 4) {
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        const Span<T> one = from.at(row0 + r, col0 + c + e);
        copy_async<4>(target + e, one.count > 0 ? one.at : from.first, one.count > 0 ? 4 : 0);
      }
    } else {  // cp.async has no 2 bytes
      Pack<T> x;
#pragma unroll
      for (int e = 0; e < kPack; ++e) {
        const Span<T> one = from.at(row0 + r, col0 + c + e);
        x.at[e] = one.count > 0 ? *one.at : T{};
      }
      store16(target, x);
    }
  }
}

// An operand's kDepth of k from k0 on, and its kAcross rows (A) or columns (B) from x0 on.
template <int kAcross, int kDepth, class T, class Operand>
inline void copy_operand(Shared<T> to, const Operand& from, int x0, int k0) {
  if constexpr (Operand::along_k)
    copy_tile<kAcross, kDepth>(to, from.source, x0, k0);
  else
    copy_tile<kDepth, kAcross>(to, from.source, k0, x0);
}

template <class P, int kWide, class A, class B>
struct MmaProduct {
  using T = typename P::Element;
  static constexpr int kHigh = 128, kDepth = 64 / int(sizeof(T));
  static constexpr int kA = kHigh * kDepth, kStage = kA + kWide * kDepth;  // elements
  static constexpr int kWarpWide = kWide / 4, kPieces = kWarpWide / 8;
  static_assert(kMmaStages * kStage * int(sizeof(T)) == GemmCuda::mma_shared(kWide),
                "launched with");
  // [16 rows][8 columns][of an mma]
  using Sums = float[4][kPieces][4];

  const A& a;
  const B& b;
  PartOfK k;
  TilePlace tile;
  Shared<T> stages;

  static Shared<T> stage_of(Shared<T> stages, int step) {
    return stages + step % kMmaStages * kStage;
  }

  // The copies of a step, a group of their own, empty past the end.
  void copy_step(int step, int steps) const {
    if (step < steps) {
      const Shared<T> to = stage_of(stages, step);
      copy_operand<kHigh, kDepth>(to, a, tile.m, k.begin + step * kDepth);
      copy_operand<kWide, kDepth>(to + kA, b, tile.n, k.begin + step * kDepth);
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
        Q::template load_b<B::along_k, kWide>(stage + kA, n + j * 8, k, b[j], b[j + 1]);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const typename Q::A a = Q::template load_a<A::along_k>(stage, m + i * 16, k);
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
    const int steps = ceil_div(k.end - k.begin, kDepth);
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
  template <class C, class Rows>
  void write(const GemmCuda& g, C* c, const Rows& rows, int m, int n, const Sums& sum) const {
    constexpr int kPart = kWide < 128 ? kWide : 128, kPerRow = kPart / 4;
    const Shared<float> made = dynamic_shared<float>(0, kHigh * kPart);
    const int first = int(threadIdx.x) / kPerRow, col = int(threadIdx.x) % kPerRow * 4;
    copy_wait<0>();
#pragma unroll 1
    for (int part = 0; part < kWide; part += kPart) {
      __syncthreads();  // all are done with what was there
      if (part <= n && n < part + kPart)
        each_sum(m, n - part, [&](int row, int col, int i, int j, int e) {
          made[swizzled<float, kPart>(row, col)] = sum[i][j][e];
        });
      __syncthreads();
#pragma unroll 1
      for (int row = first; row < kHigh; row += kMmaThreads / kPerRow) {
        const Pack<float> x = load16(made + swizzled<float, kPart>(row, col));
        write_run(g, c, rows, tile.m + row, tile.n + part + col, x.at);
      }
    }
  }
};

template <class P, int kWide>
struct MmaLoop {
  using Element = typename P::Element;
  static constexpr int wide = kWide;

  template <class A, class B, class Rows>
  static void run(const GemmCuda& g, const A& a, const B& b, PartOfK k, const Rows& rows) {
    using Product = MmaProduct<P, kWide, A, B>;
    constexpr int kElements = GemmCuda::mma_shared(kWide) / int(sizeof(Element));
    const Product product{a, b, k, tile_of_block(g, kWide), dynamic_shared<Element>(0, kElements)};
    const int warp = int(threadIdx.x) / 32, m = warp / 4 * 64, n = warp % 4 * Product::kWarpWide;
    typename Product::Sums sum;
    product.template multiply<P>(m, n, sum);
    if constexpr (P::kSumsByStage) {
      if (!Product::all_finite(sum)) product.template multiply<typename P::Careful>(m, n, sum);
    }
    if constexpr (sizeof(Element) == 2) {
      if (g.c_is_narrow) return product.write(g, static_cast<Element*>(g.c), rows, m, n, sum);
    }
    product.write(g, static_cast<float*>(g.c), rows, m, n, sum);
  }
};

}  // namespace striate

// A matrix product's kernels in the four orders.
#define STRIATE_MMA_GEMM(name, Loop, blocks, trans_a, trans_b)                             \
  extern "C" __global__ void __launch_bounds__(256, blocks) name(striate::GemmCuda args) { \
    striate::gemm<striate::Loop, trans_a, trans_b>(args);                                  \
  }
#define STRIATE_MMA_GEMMS(name, Loop, blocks)             \
  STRIATE_MMA_GEMM(name##_nn, Loop, blocks, false, false) \
  STRIATE_MMA_GEMM(name##_nt, Loop, blocks, false, true)  \
  STRIATE_MMA_GEMM(name##_tn, Loop, blocks, true, false)  \
  STRIATE_MMA_GEMM(name##_tt, Loop, blocks, true, true)
