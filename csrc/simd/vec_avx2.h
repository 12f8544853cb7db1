// SPDX-License-Identifier: Apache-2.0
// The vocabulary of vec_scalar.h in AVX2 with FMA.
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#define STRIATE_MATH "simd/math_fma.h"
#define HERE_scalar(...)
#define HERE_avx2(...) __VA_ARGS__
#define HERE_avx512(...)

namespace striate {
namespace {

template <class T>
struct Vec;
template <class T>
struct MaskOf;
template <class T>
using Mask = MaskOf<T>;
template <class T>
Mask<T> first(int n);
template <class T>
Mask<T> from(int n);
template <class T>
Mask<T> equal_u8(const uint8_t* p, int value, int n);
template <class T>
Mask<T> not_below(const uint32_t* p, uint32_t least);

template <class T>
struct Split2 {
  Vec<T> significand, exponent;
};

inline __m128i load_bytes(const uint8_t* p, int n, int lanes) {
  uint64_t bytes = 0;
  __builtin_memcpy(&bytes, p, size_t(n < lanes ? n : lanes));
  return _mm_cvtsi64_si128(int64_t(bytes));
}
inline void store_bytes(uint8_t* p, __m128i words, int n, int lanes) {
  uint64_t bytes = uint64_t(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
  __builtin_memcpy(p, &bytes, size_t(n < lanes ? n : lanes));
}

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int lanes = 8;
  __m256 v;
};
template <>
struct MaskOf<float> {
  __m256 m;  // all bits of a lane
};

inline Vec<float> load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline Vec<float> load(const float* p, Mask<float> on) {
  return {_mm256_maskload_ps(p, _mm256_castps_si256(on.m))};
}
inline void store(float* p, Vec<float> x) { _mm256_storeu_ps(p, x.v); }
inline void stream(float* p, Vec<float> x) { _mm256_stream_ps(p, x.v); }
inline void drain() { _mm_sfence(); }
inline void store(float* p, Vec<float> x, Mask<float> on) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(on.m), x.v);
}
inline Vec<float> broadcast(float x) { return {_mm256_set1_ps(x)}; }
template <>
inline Mask<float> first<float>(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane))};
}
template <>
inline Mask<float> from<float>(int n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(lane, _mm256_set1_epi32(n - 1)))};
}
inline Vec<float> operator+(Vec<float> a, Vec<float> b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec<float> operator-(Vec<float> a, Vec<float> b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec<float> operator*(Vec<float> a, Vec<float> b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec<float> operator/(Vec<float> a, Vec<float> b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Vec<float> operator-(Vec<float> a) {
  return {_mm256_xor_ps(a.v, _mm256_set1_ps(float(-0.0)))};
}
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec<float> max(Vec<float> a, Vec<float> b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Vec<float> abs(Vec<float> x) { return {_mm256_andnot_ps(_mm256_set1_ps(float(-0.0)), x.v)}; }
inline Vec<float> sqrt(Vec<float> x) { return {_mm256_sqrt_ps(x.v)}; }
inline Vec<float> round(Vec<float> x) {
  return {_mm256_round_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)};
}
inline Mask<float> operator>(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)};
}
inline Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)};
}
inline Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask<float> is_nan(Vec<float> x) { return {_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q)}; }
inline Mask<float> operator&(Mask<float> a, Mask<float> b) { return {_mm256_and_ps(a.m, b.m)}; }
inline Mask<float> operator|(Mask<float> a, Mask<float> b) { return {_mm256_or_ps(a.m, b.m)}; }
inline bool any(Mask<float> m) { return _mm256_movemask_ps(m.m) != 0; }
inline Vec<float> select(Mask<float> m, Vec<float> a, Vec<float> b) {
  return {_mm256_blendv_ps(b.v, a.v, m.m)};
}
inline Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m256 bit = _mm256_set1_ps(float(-0.0));
  return {_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v))};
}
inline __m256 power_of_2(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline Vec<float> scale2(Vec<float> x, Vec<float> n) {
  __m256i whole = _mm256_cvtps_epi32(n.v), half = _mm256_srai_epi32(whole, 1);
  x.v = _mm256_mul_ps(x.v, power_of_2(half));
  return {_mm256_mul_ps(x.v, power_of_2(_mm256_sub_epi32(whole, half)))};
}
inline Split2<float> split2(Vec<float> x) {
  __m256i bits = _mm256_castps_si256(x.v);
  __m256i exponent = _mm256_srai_epi32(_mm256_sub_epi32(bits, _mm256_set1_epi32(0x3f3504f3)), 23);
  bits = _mm256_sub_epi32(bits, _mm256_slli_epi32(exponent, 23));
  return {{_mm256_castsi256_ps(bits)}, {_mm256_cvtepi32_ps(exponent)}};
}
template <>
inline Mask<float> equal_u8<float>(const uint8_t* p, int value, int n) {
  const __m128i bytes =
      n < 8 ? load_bytes(p, n, 8) : _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  const __m128i equal = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(char(value)));
  return first<float>(n) & Mask<float>{_mm256_castsi256_ps(_mm256_cvtepi8_epi32(equal))};
}
inline void store_u8(uint8_t* p, Vec<float> x, int n) {
  __m256i whole = _mm256_cvtps_epi32(x.v);
  __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  if (n < 8) return store_bytes(p, words, n, 8);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
inline float sum(Vec<float> x) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
inline float largest(Vec<float> x) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
inline Vec<float> sums(const Vec<float> (&x)[8]) {
  __m256 four[2];  // of four vectors: their sums over each half, side by side
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const __m256 a = x[4 * i].v, b = x[4 * i + 1].v, c = x[4 * i + 2].v, d = x[4 * i + 3].v;
    const __m256d ab =
        _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b)));
    const __m256d cd =
        _mm256_castps_pd(_mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d)));
    four[i] = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)),
                            _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
  }
  return {_mm256_add_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20),
                        _mm256_permute2f128_ps(four[0], four[1], 0x31))};
}

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int lanes = 4;
  __m256d v;
};
template <>
struct MaskOf<double> {
  __m256d m;  // all bits of a lane
};

inline Vec<double> load(const double* p) { return {_mm256_loadu_pd(p)}; }
inline Vec<double> load(const double* p, Mask<double> on) {
  return {_mm256_maskload_pd(p, _mm256_castpd_si256(on.m))};
}
inline void store(double* p, Vec<double> x) { _mm256_storeu_pd(p, x.v); }
inline void stream(double* p, Vec<double> x) { _mm256_stream_pd(p, x.v); }
inline void store(double* p, Vec<double> x, Mask<double> on) {
  _mm256_maskstore_pd(p, _mm256_castpd_si256(on.m), x.v);
}
inline Vec<double> broadcast(double x) { return {_mm256_set1_pd(x)}; }
template <>
inline Mask<double> first<double>(int n) {
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  return {_mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane))};
}
template <>
inline Mask<double> from<double>(int n) {
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  return {_mm256_castsi256_pd(_mm256_cmpgt_epi64(lane, _mm256_set1_epi64x(n - 1)))};
}
inline Vec<double> operator+(Vec<double> a, Vec<double> b) { return {_mm256_add_pd(a.v, b.v)}; }
inline Vec<double> operator-(Vec<double> a, Vec<double> b) { return {_mm256_sub_pd(a.v, b.v)}; }
inline Vec<double> operator*(Vec<double> a, Vec<double> b) { return {_mm256_mul_pd(a.v, b.v)}; }
inline Vec<double> operator/(Vec<double> a, Vec<double> b) { return {_mm256_div_pd(a.v, b.v)}; }
inline Vec<double> operator-(Vec<double> a) {
  return {_mm256_xor_pd(a.v, _mm256_set1_pd(double(-0.0)))};
}
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm256_fmadd_pd(a.v, b.v, c.v)};
}
inline Vec<double> max(Vec<double> a, Vec<double> b) { return {_mm256_max_pd(a.v, b.v)}; }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return {_mm256_min_pd(a.v, b.v)}; }
inline Vec<double> abs(Vec<double> x) {
  return {_mm256_andnot_pd(_mm256_set1_pd(double(-0.0)), x.v)};
}
inline Vec<double> sqrt(Vec<double> x) { return {_mm256_sqrt_pd(x.v)}; }
inline Vec<double> round(Vec<double> x) {
  return {_mm256_round_pd(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.v, b.v, _CMP_LT_OQ)};
}
inline Mask<double> operator>(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ)};
}
inline Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.v, b.v, _CMP_LE_OQ)};
}
inline Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {_mm256_cmp_pd(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask<double> is_nan(Vec<double> x) { return {_mm256_cmp_pd(x.v, x.v, _CMP_UNORD_Q)}; }
inline Mask<double> operator&(Mask<double> a, Mask<double> b) { return {_mm256_and_pd(a.m, b.m)}; }
inline Mask<double> operator|(Mask<double> a, Mask<double> b) { return {_mm256_or_pd(a.m, b.m)}; }
inline bool any(Mask<double> m) { return _mm256_movemask_pd(m.m) != 0; }
inline Vec<double> select(Mask<double> m, Vec<double> a, Vec<double> b) {
  return {_mm256_blendv_pd(b.v, a.v, m.m)};
}
inline Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m256d bit = _mm256_set1_pd(double(-0.0));
  return {_mm256_or_pd(_mm256_andnot_pd(bit, magnitude.v), _mm256_and_pd(bit, sign.v))};
}
inline __m256d power_of_2(__m128i n) {
  __m256i biased = _mm256_add_epi64(_mm256_cvtepi32_epi64(n), _mm256_set1_epi64x(1023));
  return _mm256_castsi256_pd(_mm256_slli_epi64(biased, 52));
}
inline Vec<double> scale2(Vec<double> x, Vec<double> n) {
  __m128i whole = _mm256_cvtpd_epi32(n.v), half = _mm_srai_epi32(whole, 1);
  x.v = _mm256_mul_pd(x.v, power_of_2(half));
  return {_mm256_mul_pd(x.v, power_of_2(_mm_sub_epi32(whole, half)))};
}
// Without an arithmetic shift of 64 bits and a conversion of them, the exponent is made with its
// bias, 1023, and becomes a number as the last bits of 2^52.
inline Split2<double> split2(Vec<double> x) {
  const __m256i one = _mm256_set1_epi64x(0x3ff0000000000000);
  __m256i bits = _mm256_castpd_si256(x.v);
  __m256i from_root = _mm256_sub_epi64(bits, _mm256_set1_epi64x(0x3fe6a09e667f3bcd));
  __m256i biased = _mm256_srli_epi64(_mm256_add_epi64(from_root, one), 52);
  bits = _mm256_add_epi64(_mm256_sub_epi64(bits, _mm256_slli_epi64(biased, 52)), one);
  const __m256d power = _mm256_set1_pd(4503599627370496.0);
  __m256d exponent = _mm256_or_pd(_mm256_castsi256_pd(biased), power);
  return {{_mm256_castsi256_pd(bits)},
          {_mm256_sub_pd(exponent, _mm256_set1_pd(4503599627370496.0 + 1023))}};
}
template <>
inline Mask<double> equal_u8<double>(const uint8_t* p, int value, int n) {
  const __m128i equal = _mm_cmpeq_epi8(load_bytes(p, n, 4), _mm_set1_epi8(char(value)));
  return first<double>(n) & Mask<double>{_mm256_castsi256_pd(_mm256_cvtepi8_epi64(equal))};
}
inline void store_u8(uint8_t* p, Vec<double> x, int n) {
  __m128i whole = _mm256_cvtpd_epi32(x.v);
  store_bytes(p, _mm_packs_epi32(whole, whole), n, 4);
}
inline double sum(Vec<double> x) {
  __m128d half = _mm_add_pd(_mm256_castpd256_pd128(x.v), _mm256_extractf128_pd(x.v, 1));
  return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}
inline double largest(Vec<double> x) {
  __m128d half = _mm_max_pd(_mm256_castpd256_pd128(x.v), _mm256_extractf128_pd(x.v, 1));
  return _mm_cvtsd_f64(_mm_max_sd(half, _mm_unpackhi_pd(half, half)));
}
inline Vec<double> sums(const Vec<double> (&x)[4]) {
  const __m256d low =
      _mm256_add_pd(_mm256_unpacklo_pd(x[0].v, x[1].v), _mm256_unpackhi_pd(x[0].v, x[1].v));
  const __m256d high =
      _mm256_add_pd(_mm256_unpacklo_pd(x[2].v, x[3].v), _mm256_unpackhi_pd(x[2].v, x[3].v));
  return {_mm256_add_pd(_mm256_permute2f128_pd(low, high, 0x20),
                        _mm256_permute2f128_pd(low, high, 0x31))};
}

template <>
inline Mask<float> not_below<float>(const uint32_t* p, uint32_t least) {
  __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  __m256i larger = _mm256_max_epu32(words, _mm256_set1_epi32(int(least)));
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(words, larger))};
}
template <>
inline Mask<double> not_below<double>(const uint32_t* p, uint32_t least) {
  __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i larger = _mm_max_epu32(words, _mm_set1_epi32(int(least)));
  return {_mm256_castsi256_pd(_mm256_cvtepi32_epi64(_mm_cmpeq_epi32(words, larger)))};
}

struct U64 {
  static constexpr int lanes = 4;
  __m256i v;
};
inline U64 u64(uint64_t x) { return {_mm256_set1_epi64x(int64_t(x))}; }
inline U64 counted(uint64_t x) {
  return {_mm256_add_epi64(u64(x).v, _mm256_setr_epi64x(0, 2, 1, 3))};
}
inline U64 operator^(U64 a, U64 b) { return {_mm256_xor_si256(a.v, b.v)}; }
inline U64 product(U64 a, U64 b) { return {_mm256_mul_epu32(a.v, b.v)}; }
inline U64 upper(U64 a) { return {_mm256_srli_epi64(a.v, 32)}; }
inline void store_fours(uint32_t* p, U64 a, U64 b, U64 c, U64 d) {
  __m256i ab = _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xaa);
  __m256i cd = _mm256_blend_epi32(c.v, _mm256_slli_epi64(d.v, 32), 0xaa);
  __m256i* to = reinterpret_cast<__m256i*>(p);
  _mm256_storeu_si256(to, _mm256_unpacklo_epi64(ab, cd));
  _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi64(ab, cd));
}

inline Vec<float> load_bf16(const uint16_t* p, int n) {
  __m128i half;
  if (n >= 8) {
    half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  } else {
    uint16_t some[8] = {};
    std::memcpy(some, p, size_t(n) * 2);
    half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(some));
  }
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}
inline void store_bf16(uint16_t* p, Vec<float> x, int n) {
  const __m256i bits = _mm256_castps_si256(x.v), upper = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  const __m256i words = _mm256_blendv_epi8(_mm256_srli_epi32(up, 16), quiet, nan);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(words, words), 0x08);
  const __m128i half = _mm256_castsi256_si128(packed);
  if (n >= 8) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
  uint16_t some[8];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(some), half);
  std::memcpy(p, some, size_t(n) * 2);
}

}  // namespace
}  // namespace striate
