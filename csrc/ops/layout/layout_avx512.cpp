// SPDX-License-Identifier: Apache-2.0
// Tiles of 16 x 16 floats (16 + 16 of 32 registers) and 8 x 8 doubles: rows are interleaved inside
// 128-bit lanes in two rounds, then the lanes are exchanged in two more. Rows and columns that a
// tile does not have are masked away.
#include "simd/vec_avx512.h"
//
#include "ops/layout/copy.inl"
#include "ops/layout/transpose.inl"
#include "ops/layout/triples.inl"

namespace striate {
namespace {

struct TileF32 {
  static constexpr ptrdiff_t size = 16;

  // Row i of the result in r[i].
  static void turn(__m512 (&r)[16]) {
    __m512 t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
      t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {  // lane l of r[i + c]: column 4 l + c of rows i … i + 3
      r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
      r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
      r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
      r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      t[c] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0x88);           // lanes 0, 2 of rows 0 … 7
      t[c + 4] = _mm512_shuffle_f32x4(r[c], r[c + 4], 0xdd);       // lanes 1, 3
      t[c + 8] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0x88);  // the same of rows 8 … 15
      t[c + 12] = _mm512_shuffle_f32x4(r[c + 8], r[c + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      r[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
      r[c + 4] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0x88);
      r[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
      r[c + 12] = _mm512_shuffle_f32x4(t[c + 4], t[c + 12], 0xdd);
    }
  }
  template <class Put>
  static void whole(const float* src, ptrdiff_t src_row, float* dst, ptrdiff_t dst_row, Put put) {
    __m512 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(src + i * src_row);
    turn(r);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) put(dst + j * dst_row, Vec<float>{r[j]});
  }
  static void part(const float* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, float* dst,
                   ptrdiff_t dst_row) {
    const __mmask16 in = __mmask16((1u << cols) - 1), out = __mmask16((1u << rows) - 1);
    __m512 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      r[i] = i < rows ? _mm512_maskz_loadu_ps(in, src + i * src_row) : _mm512_setzero_ps();
    turn(r);
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j)
      if (j < cols) _mm512_mask_storeu_ps(dst + j * dst_row, out, r[j]);
  }
};

struct TileF64 {
  static constexpr ptrdiff_t size = 8;

  static void turn(__m512d (&r)[8]) {
    __m512d t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {  // lane l of t[i + c]: column 2 l + c of rows i, i + 1
      t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
      t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      r[c] = _mm512_shuffle_f64x2(t[c], t[c + 2], 0x88);
      r[c + 2] = _mm512_shuffle_f64x2(t[c], t[c + 2], 0xdd);
      r[c + 4] = _mm512_shuffle_f64x2(t[c + 4], t[c + 6], 0x88);
      r[c + 6] = _mm512_shuffle_f64x2(t[c + 4], t[c + 6], 0xdd);
    }
#pragma GCC unroll 2
    for (int c = 0; c < 2; ++c) {
      t[c] = _mm512_shuffle_f64x2(r[c], r[c + 4], 0x88);
      t[c + 2] = _mm512_shuffle_f64x2(r[c + 2], r[c + 6], 0x88);
      t[c + 4] = _mm512_shuffle_f64x2(r[c], r[c + 4], 0xdd);
      t[c + 6] = _mm512_shuffle_f64x2(r[c + 2], r[c + 6], 0xdd);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = t[i];
  }
  template <class Put>
  static void whole(const double* src, ptrdiff_t src_row, double* dst, ptrdiff_t dst_row, Put put) {
    __m512d r[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) r[i] = _mm512_loadu_pd(src + i * src_row);
    turn(r);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) put(dst + j * dst_row, Vec<double>{r[j]});
  }
  static void part(const double* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols,
                   double* dst, ptrdiff_t dst_row) {
    const __mmask8 in = __mmask8((1u << cols) - 1), out = __mmask8((1u << rows) - 1);
    __m512d r[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i)
      r[i] = i < rows ? _mm512_maskz_loadu_pd(in, src + i * src_row) : _mm512_setzero_pd();
    turn(r);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j)
      if (j < cols) _mm512_mask_storeu_pd(dst + j * dst_row, out, r[j]);
  }
};

}  // namespace

void layout_transpose_f32_avx512(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  if (transpose_triples(src, src_row, rows, cols, dst, dst_row, false)) return;
  transpose<TileF32>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f32_avx512(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                      ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  if (transpose_triples(src, src_row, rows, cols, dst, dst_row, true)) return;
  transpose_past<TileF32>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_f64_avx512(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose<TileF64>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f64_avx512(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                      ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose_past<TileF64>(src, src_row, rows, cols, dst, dst_row);
}

}  // namespace striate
