// SPDX-License-Identifier: Apache-2.0
// Tiles of 8 x 8 floats (8 + 8 registers) and 4 x 4 doubles: pairs of rows are interleaved inside
// 128-bit lanes, then the lanes are exchanged. Masked stores are slow on AMD, so tiles that are not
// whole go element by element.
#include "simd/vec_avx2.h"
//
#include "ops/layout/copy.inl"
#include "ops/layout/transpose.inl"
#include "ops/layout/triples.inl"

namespace striate {
namespace {

struct TileF32 {
  static constexpr ptrdiff_t size = 8;
  template <class Put>
  static void whole(const float* src, ptrdiff_t src_row, float* dst, ptrdiff_t dst_row, Put put) {
    __m256 r[8], t[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(src + i * src_row);
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);      // a0 b0 a1 b1
      t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);  // a2 b2 a3 b3
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {  // columns 0 … 3 of four rows
      r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      put(dst + j * dst_row, Vec<float>{_mm256_permute2f128_ps(r[j], r[j + 4], 0x20)});
      put(dst + (j + 4) * dst_row, Vec<float>{_mm256_permute2f128_ps(r[j], r[j + 4], 0x31)});
    }
  }
  static void part(const float* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, float* dst,
                   ptrdiff_t dst_row) {
    transpose_part(src, src_row, rows, cols, dst, dst_row);
  }
};

struct TileF64 {
  static constexpr ptrdiff_t size = 4;
  template <class Put>
  static void whole(const double* src, ptrdiff_t src_row, double* dst, ptrdiff_t dst_row, Put put) {
    __m256d r[4], t[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] = _mm256_loadu_pd(src + i * src_row);
#pragma GCC unroll 2
    for (int i = 0; i < 4; i += 2) {
      t[i] = _mm256_unpacklo_pd(r[i], r[i + 1]);
      t[i + 1] = _mm256_unpackhi_pd(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      put(dst + j * dst_row, Vec<double>{_mm256_permute2f128_pd(t[j], t[j + 2], 0x20)});
      put(dst + (j + 2) * dst_row, Vec<double>{_mm256_permute2f128_pd(t[j], t[j + 2], 0x31)});
    }
  }
  static void part(const double* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols,
                   double* dst, ptrdiff_t dst_row) {
    transpose_part(src, src_row, rows, cols, dst, dst_row);
  }
};

}  // namespace

void layout_transpose_f32_avx2(const float* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols,
                               float* dst, ptrdiff_t dst_row) {
  if (transpose_triples(src, src_row, rows, cols, dst, dst_row, false)) return;
  transpose<TileF32>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f32_avx2(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                    ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  if (transpose_triples(src, src_row, rows, cols, dst, dst_row, true)) return;
  transpose_past<TileF32>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_f64_avx2(const double* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols,
                               double* dst, ptrdiff_t dst_row) {
  transpose<TileF64>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f64_avx2(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                    ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose_past<TileF64>(src, src_row, rows, cols, dst, dst_row);
}

}  // namespace striate
