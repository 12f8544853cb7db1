// SPDX-License-Identifier: Apache-2.0
// Transposes of three columns side by side, and to them: images of three channels. Eight pixels are
// three vectors, in which each channel has every third place,
//
//   a  r g b r g b r g      r of a, b and c  r r r r r r r r      blended, then put in order
//   b  b r g b r g b r                       0 3 6 1 4 7 2 5
//   c  g b r g b r g b
//
// so a channel takes two blends and a permute. Vectors of 256 bits for AVX-512 as well.
#include <immintrin.h>

#include "simd/write.h"

namespace striate {
namespace {

struct Triple {
  __m256 x[3];

  // Places p with p % 3 == 0 of the first, 1 of the second, 2 of the third.
  static __m256 mix(__m256 zero, __m256 one, __m256 two) {
    return _mm256_blend_ps(_mm256_blend_ps(zero, one, 0x92), two, 0x24);
  }
  // From interleaved vectors to a vector a channel.
  Triple channels() const {
    const __m256i r = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    const __m256i g = _mm256_setr_epi32(1, 4, 7, 2, 5, 0, 3, 6);
    const __m256i b = _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7);
    return {{_mm256_permutevar8x32_ps(mix(x[0], x[1], x[2]), r),
             _mm256_permutevar8x32_ps(mix(x[2], x[0], x[1]), g),
             _mm256_permutevar8x32_ps(mix(x[1], x[2], x[0]), b)}};
  }
  // The way back.
  Triple pixels() const {
    const __m256i places_r = _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5);
    const __m256i places_g = _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2);
    const __m256i places_b = _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7);
    const __m256 r = _mm256_permutevar8x32_ps(x[0], places_r);
    const __m256 g = _mm256_permutevar8x32_ps(x[1], places_g);
    const __m256 b = _mm256_permutevar8x32_ps(x[2], places_b);
    return {{mix(r, g, b), mix(b, r, g), mix(g, b, r)}};
  }
  void put(float* to, ptrdiff_t step, bool past) const {
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j)
      past ? _mm256_stream_ps(to + j * step, x[j]) : _mm256_storeu_ps(to + j * step, x[j]);
  }
};

// Elements up to the first whole vector of `to`.
inline ptrdiff_t before_vector(const float* to, ptrdiff_t n) {
  const auto head = ptrdiff_t(-(uintptr_t(to) / sizeof(float)) % 8);
  return head < n ? head : n;
}

// dst[j * dst_row + i] = src[3 i + j]
void from_triples(const float* src, ptrdiff_t n, float* dst, ptrdiff_t dst_row, bool past) {
  ptrdiff_t i = 0;
  auto one = [&] {
    for (int j = 0; j < 3; ++j) dst[j * dst_row + i] = src[3 * i + j];
    ++i;
  };
  past = past && dst_row % 8 == 0 && uintptr_t(dst) % sizeof(float) == 0;
  if (past)
    for (const ptrdiff_t head = before_vector(dst, n); i < head;) one();
  for (; i + 8 <= n; i += 8) {
    const float* from = src + 3 * i;
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) fetch(from + 8 * j);
    const Triple in{{_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8), _mm256_loadu_ps(from + 16)}};
    in.channels().put(dst + i, dst_row, past);
  }
  while (i < n) one();
  if (past) drain();
}

// dst[3 i + j] = src[j * src_row + i]
void to_triples(const float* src, ptrdiff_t src_row, ptrdiff_t n, float* dst, bool past) {
  ptrdiff_t i = 0;
  auto one = [&] {
    for (int j = 0; j < 3; ++j) dst[3 * i + j] = src[j * src_row + i];
    ++i;
  };
  past = past && uintptr_t(dst) % sizeof(float) == 0;
  if (past)  // eight pixels are whole vectors
    while (i < n && uintptr_t(dst + 3 * i) % 32 != 0) one();
  for (; i + 8 <= n; i += 8) {
    const float* from = src + i;
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j) fetch(from + j * src_row);
    const Triple in{{_mm256_loadu_ps(from), _mm256_loadu_ps(from + src_row),
                     _mm256_loadu_ps(from + 2 * src_row)}};
    in.pixels().put(dst + 3 * i, 8, past);
  }
  while (i < n) one();
  if (past) drain();
}

// Whether the transpose is one of those; then it is done.
inline bool transpose_triples(const float* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols,
                              float* dst, ptrdiff_t dst_row, bool past) {
  if (cols == 3 && src_row == 3)
    from_triples(src, rows, dst, dst_row, past);
  else if (rows == 3 && dst_row == 3)
    to_triples(src, src_row, cols, dst, past);
  else
    return false;
  return true;
}

}  // namespace
}  // namespace striate
