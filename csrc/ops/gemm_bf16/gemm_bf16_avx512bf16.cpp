// SPDX-License-Identifier: Apache-2.0
// The tile of gemm/microkernel.inl over pairs of bfloat16: words of A and B are two neighbours
// in k,
//
//   acc[i, j] += a[i, 2 w] b[2 w, j] + a[i, 2 w + 1] b[2 w + 1, j]        vdpbf16ps, 16 columns
//
// with both sums rounded to nearest even and denormals as 0, whatever MXCSR says (Intel SDM).
// Registers: 14x2: 28 accumulators + 2 B + 1 broadcast = 31 of 32 zmm.
// Bound: one vdpbf16ps in two cycles on Emerald Rapids, with 8 of latency (4 chains; 28 given): 32
// operations a cycle, half of float32's multiply-adds. On chips that issue it as often as those the
// bound is twice theirs; the driver chooses by isa.h's bf16_dot_pays().
#include "simd/vec_avx512.h"
//
#include "ops/gemm/microkernel.inl"

namespace striate {
namespace {

// Both products of a word and their sums.
inline Vec<float> dot_pairs(Vec<float> a, Vec<float> b, Vec<float> sum) {
  return {_mm512_dpbf16_ps(sum.v, __m512bh(_mm512_castps_si512(a.v)),
                           __m512bh(_mm512_castps_si512(b.v)))};
}

template <int M, int NV, bool Full>
void pair_tile(const GemmTile<float>& t) {
  const Columns<float, NV, Full> columns(t.n);
  Vec<float> acc[M][NV];
  each<M, NV>([&](int i, int v) { acc[i][v] = broadcast(0.0f); });
  for (ptrdiff_t s = 0; s < t.segment_count; ++s) {
    const GemmSegment<float>& segment = t.segments[s];
    const float* row[M];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) row[i] = segment.a[i];
    const float* b = segment.b;
    ptrdiff_t at = segment.a_offset;
    for (ptrdiff_t k = segment.k; k > 0; --k) {
      Vec<float> bv[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) bv[v] = columns.get(b, v);
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) {
        const Vec<float> a = broadcast(row[i][at]);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[i][v] = dot_pairs(a, bv[v], acc[i][v]);
      }
      at += t.a_step;
      b += t.b_step;
    }
  }
  finish(t, columns, acc);
}

template <int M, int NV>
void pair_tile_of_width(const GemmTile<float>& t) {
  constexpr int lanes = Vec<float>::lanes;
  if (t.n == NV * lanes) return pair_tile<M, NV, true>(t);
  if constexpr (NV > 1) {
    if (t.n <= (NV - 1) * lanes) return pair_tile_of_width<M, NV - 1>(t);
  }
  pair_tile<M, NV, false>(t);
}

template <int MR, int NV>
void pair_tile_of_size(const GemmTile<float>& t) {
  if (t.m == MR) return pair_tile_of_width<MR, NV>(t);
  if constexpr (MR > 1) pair_tile_of_size<MR - 1, NV>(t);
}

}  // namespace

void gemm_bf16_avx512bf16_14x32(const GemmTile<float>& t) { pair_tile_of_size<14, 2>(t); }

}  // namespace striate
