// SPDX-License-Identifier: Apache-2.0
// C = clamp(alpha A B + beta C + bias) in float32 on CUDA cores: the loop that matrix products and
// convolutions share.
//
//   block 128 x 128 x 8, four stages         warp 64 x 32       lane (r, s) of 8 x 4: 8 x 8
//     +-------+-------+-------+-------+       s: 0123 0123       rows r * 4 + 0 … 3, and 32 on
//     | w0    | w1    | w2    | w3    |      r 0  ....|....      columns s * 4 + 0 … 3, 16 on
//     +-------+-------+-------+-------+      …    ----+----
//     | w4    | w5    | w6    | w7    |      r 7  ....|....
//     +-------+-------+-------+-------+
//
// Shared memory holds A and B by k, [8][128 + 4] each, so a step of k is two loads of 16 bytes for
// a and two for b, and 64 multiply-adds. cp.async fills a stage three steps ahead: 16 bytes at a
// time where memory runs as the tile does and rows are aligned, else element by element; where
// memory runs along k, a warp writes 8 k of 4 rows, which the 4 columns of padding put into 32
// banks. Bound: multiply-adds. 64 sums, 16 operands: some 110 registers, two blocks a
// multiprocessor.
#pragma once
#include "cuda/device/copy.cuh"
#include "ops/gemm/gemm_tile.cuh"

namespace striate {

constexpr int kDepth = 8, kStages = 4, kLine = 128 + 4, kThreads = GemmCuda::kThreads;
constexpr int kStage = 2 * kDepth * kLine;  // elements

// k0 … k0 + 7 of 128 rows (A) or columns (B) from x0 on; 0 outside the matrix.
template <class Operand>
inline void copy_operand(Shared<float> to, const Operand& from, int x0, int k0) {
  const auto& source = from.source;
  auto copy_element = [&](Shared<float> target, Span<float> one) {
    copy_async<4>(target, one.count > 0 ? one.at : source.first, one.count > 0 ? 4 : 0);
  };
  if constexpr (Operand::along_k) {
#pragma unroll Operand::unroll
    for (int part = 0; part < kDepth * 128 / kThreads; ++part) {
      const int i = part * kThreads + int(threadIdx.x), k = i % kDepth, x = i / kDepth;
      copy_element(to + (k * kLine + x), source.at(x0 + x, k0 + k));
    }
  } else {  // one access of 16 bytes a thread
    const int k = int(threadIdx.x) / 32, x = int(threadIdx.x) % 32 * 4;
    if (source.wide) {
      const Span<float> four = source.at(k0 + k, x0 + x);
      copy_async<16>(to + (k * kLine + x), four.count > 0 ? four.at : source.first,
                     four.count > 0 ? smaller(four.count, 4) * 4 : 0);
    } else {
#pragma unroll
      for (int e = 0; e < 4; ++e)
        copy_element(to + (k * kLine + x + e), source.at(k0 + k, x0 + x + e));
    }
  }
}

// One stage: sums += a b, for this thread's rows from m on and columns from n on.
inline void multiply_stage(Shared<float> stage, int m, int n, float (&sum)[8][8]) {
#pragma unroll
  for (int k = 0; k < kDepth; ++k) {
    const Shared<float> a_line = stage + (k * kLine + m),
                        b_line = stage + ((kDepth + k) * kLine + n);
    const Pack<float> a[2] = {load16(a_line), load16(a_line + 32)};
    const Pack<float> b[2] = {load16(b_line), load16(b_line + 16)};
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 8; ++j)
        sum[i][j] = fmaf(a[i / 4].at[i % 4], b[j / 4].at[j % 4], sum[i][j]);
  }
}

struct SimtLoop {
  using Element = float;
  static constexpr int wide = 128;

  template <class A, class B, class Rows>
  static void run(const GemmCuda& g, const A& a, const B& b, PartOfK k, const Rows& rows) {
    STRIATE_SHARED(float, stages, kStages* kStage);
    const TilePlace tile = tile_of_block(g, wide);
    const int steps = ceil_div(k.end - k.begin, kDepth);

    auto copy_step = [&](int step) {  // a group of copies, empty past the end
      if (step < steps) {
        const Shared<float> to = stages + step % kStages * kStage;
        copy_operand(to, a, tile.m, k.begin + step * kDepth);
        copy_operand(to + kDepth * kLine, b, tile.n, k.begin + step * kDepth);
      }
      copy_commit();
    };
    const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
    const int m = warp / 4 * 64 + lane / 4 * 4, n = warp % 4 * 32 + lane % 4 * 4;
    float sum[8][8] = {};
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
      for (int half = 0; half < 2; ++half) {
        const float (&s)[8] = sum[i];
        const float run[4] = {s[half * 4], s[half * 4 + 1], s[half * 4 + 2], s[half * 4 + 3]};
        write_run(g, static_cast<float*>(g.c), rows, tile.m + m + i / 4 * 32 + i % 4,
                  tile.n + n + half * 16, run);
      }
  }
};

}  // namespace striate
