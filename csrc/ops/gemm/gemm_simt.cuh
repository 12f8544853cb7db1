// SPDX-License-Identifier: Apache-2.0
// C = clamp(alpha A B + beta C + bias) of T, float or double, on CUDA cores: the loop that matrix
// products and convolutions share.
//
//   block 128 x 128, four stages             warp 64 x 32       lane (r, s) of 8 x 4: 8 x 8
//     +-------+-------+-------+-------+       s: 0123 0123       rows r * P + 0 … P - 1, and every
//     | w0    | w1    | w2    | w3    |      r 0  ....|....      8 P on; columns s * P + 0 … P - 1,
//     +-------+-------+-------+-------+      …    ----+----      and every 4 P on. P elements have
//     | w4    | w5    | w6    | w7    |      r 7  ....|....      16 bytes: 4 floats, 2 doubles
//     +-------+-------+-------+-------+
//
// A stage is 8 of k in float, 4 in double. Shared memory holds A and B by k, lines of 128 + 4, so a
// step of k is loads of 16 bytes, two each for a and b (four of double), and 64 multiply-adds.
// cp.async fills a stage three steps ahead: 16 bytes at a time where memory runs as the tile does
// and rows are aligned, else element by element; where memory runs along k, a warp writes all k of
// 4 rows (8 of double), which the 4 columns of padding put into different banks. Bound:
// multiply-adds. In float 64 sums and 16 operands, some 110 registers, two blocks a multiprocessor;
// in double twice as many, one block.
#pragma once
#include "cuda/device/copy.cuh"
#include "ops/gemm/gemm_tile.cuh"

namespace striate {

template <class T>
struct SimtLoop {
  using Element = T;
  static constexpr int wide = 128;
  static constexpr int kPack = Pack<T>::size, kDepth = 32 / int(sizeof(T)), kStages = 4;
  static constexpr int kLine = 128 + 4, kStage = 2 * kDepth * kLine;  // elements
  static constexpr int kThreads = GemmCuda::kThreads;

  // k0 … k0 + kDepth - 1 of 128 rows (A) or columns (B) from x0 on; 0 outside the matrix.
  template <class Operand>
  static void copy_operand(Shared<T> to, const Operand& from, int x0, int k0) {
    constexpr int kItem = int(sizeof(T));
    const auto& source = from.source;
    auto copy_element = [&](Shared<T> target, Span<T> one) {
      copy_async<kItem>(target, one.count > 0 ? one.at : source.first, one.count > 0 ? kItem : 0);
    };
    if constexpr (Operand::along_k) {
#pragma unroll Operand::unroll
      for (int part = 0; part < kDepth * 128 / kThreads; ++part) {
        const int i = part * kThreads + int(threadIdx.x), k = i % kDepth, x = i / kDepth;
        copy_element(to + (k * kLine + x), source.at(x0 + x, k0 + k));
      }
    } else {  // one access of 16 bytes a thread
      constexpr int kPerLine = 128 / kPack;
      const int k = int(threadIdx.x) / kPerLine, x = int(threadIdx.x) % kPerLine * kPack;
      if (source.wide) {
        const Span<T> pack = source.at(k0 + k, x0 + x);
        copy_async<16>(to + (k * kLine + x), pack.count > 0 ? pack.at : source.first,
                       pack.count > 0 ? smaller(pack.count, kPack) * kItem : 0);
      } else {
#pragma unroll
        for (int e = 0; e < kPack; ++e)
          copy_element(to + (k * kLine + x + e), source.at(k0 + k, x0 + x + e));
      }
    }
  }

  // One stage: sums += a b, for this thread's rows from m on and columns from n on.
  static void multiply_stage(Shared<T> stage, int m, int n, T (&sum)[8][8]) {
#pragma unroll
    for (int k = 0; k < kDepth; ++k) {
      const Shared<T> a_line = stage + (k * kLine + m), b_line = stage + ((kDepth + k) * kLine + n);
      Pack<T> a[8 / kPack], b[8 / kPack];
#pragma unroll
      for (int i = 0; i < 8 / kPack; ++i) {
        a[i] = load16(a_line + i * 8 * kPack);
        b[i] = load16(b_line + i * 4 * kPack);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j)
          sum[i][j] =
              multiply_add(a[i / kPack].at[i % kPack], b[j / kPack].at[j % kPack], sum[i][j]);
    }
  }

  template <class A, class B, class Rows>
  static void run(const GemmOf<T>& g, const A& a, const B& b, PartOfK k, const Rows& rows) {
    STRIATE_SHARED(T, stages, kStages * kStage);
    const TilePlace tile = tile_of_block(g, wide);
    const int steps = ceil_div(k.end - k.begin, kDepth);

    auto copy_step = [&](int step) {  // a group of copies, empty past the end
      if (step < steps) {
        const Shared<T> to = stages + step % kStages * kStage;
        copy_operand(to, a, tile.m, k.begin + step * kDepth);
        copy_operand(to + kDepth * kLine, b, tile.n, k.begin + step * kDepth);
      }
      copy_commit();
    };
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const int m = warp / 4 * 64 + lane / 4 * kPack, n = warp % 4 * 32 + lane % 4 * kPack;
    T sum[8][8] = {};
    for (int step = 0; step < kStages - 1; ++step) copy_step(step);
    for (int step = 0; step < steps; ++step) {
      copy_wait<kStages - 2>();
      __syncthreads();  // this stage has come for all, and all are done with the one before
      copy_step(step + kStages - 1);
      multiply_stage(stages + step % kStages * kStage, m, n, sum);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int part = 0; part < 8 / kPack; ++part) {
        T run[kPack];
#pragma unroll
        for (int e = 0; e < kPack; ++e) run[e] = sum[i][part * kPack + e];
        write_run(g, static_cast<T*>(g.c), rows, tile.m + m + i / kPack * 8 * kPack + i % kPack,
                  tile.n + n + part * 4 * kPack, run);
      }
  }
};

}  // namespace striate

// A matrix product's kernels in the four orders.
#define STRIATE_SIMT_GEMM(name, T, blocks, trans_a, trans_b)                                \
  extern "C" __global__ void __launch_bounds__(256, blocks) name(striate::GemmOf<T> args) { \
    striate::gemm<striate::SimtLoop<T>, trans_a, trans_b>(args);                            \
  }
#define STRIATE_SIMT_GEMMS(name, T, blocks)             \
  STRIATE_SIMT_GEMM(name##_nn, T, blocks, false, false) \
  STRIATE_SIMT_GEMM(name##_nt, T, blocks, false, true)  \
  STRIATE_SIMT_GEMM(name##_tn, T, blocks, true, false)  \
  STRIATE_SIMT_GEMM(name##_tt, T, blocks, true, true)
