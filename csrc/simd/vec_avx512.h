// SPDX-License-Identifier: Apache-2.0
// The vocabulary of vec_scalar.h in AVX-512 (F, BW, DQ, VL).
#pragma once
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define STRIATE_MATH "simd/math_avx512.h"
#define HERE_scalar(...)
#define HERE_avx2(...)
#define HERE_avx512(...) __VA_ARGS__

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

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int lanes = 16;
  __m512 v;
};
template <>
struct MaskOf<float> {
  __mmask16 m;
};

inline Vec<float> load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline Vec<float> load(const float* p, Mask<float> on) { return {_mm512_maskz_loadu_ps(on.m, p)}; }
inline void store(float* p, Vec<float> x) { _mm512_storeu_ps(p, x.v); }
inline void stream(float* p, Vec<float> x) { _mm512_stream_ps(p, x.v); }
inline void drain() { _mm_sfence(); }
inline void store(float* p, Vec<float> x, Mask<float> on) { _mm512_mask_storeu_ps(p, on.m, x.v); }
inline Vec<float> broadcast(float x) { return {_mm512_set1_ps(x)}; }
template <>
inline Mask<float> first<float>(int n) {
  return {__mmask16((1u << n) - 1)};
}
template <>
inline Mask<float> from<float>(int n) {
  return {__mmask16(~((1u << n) - 1))};
}
inline Vec<float> operator+(Vec<float> a, Vec<float> b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec<float> operator-(Vec<float> a, Vec<float> b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec<float> operator*(Vec<float> a, Vec<float> b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec<float> operator/(Vec<float> a, Vec<float> b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec<float> operator-(Vec<float> a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(float(-0.0)))};
}
inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec<float> max(Vec<float> a, Vec<float> b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec<float> min(Vec<float> a, Vec<float> b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec<float> abs(Vec<float> x) { return {_mm512_abs_ps(x.v)}; }
inline Vec<float> sqrt(Vec<float> x) { return {_mm512_sqrt_ps(x.v)}; }
inline Vec<float> round(Vec<float> x) {
  return {_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask<float> operator<(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
inline Mask<float> operator>(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)};
}
inline Mask<float> operator<=(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
inline Mask<float> operator==(Vec<float> a, Vec<float> b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask<float> is_nan(Vec<float> x) { return {_mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q)}; }
inline Mask<float> operator&(Mask<float> a, Mask<float> b) { return {__mmask16(a.m & b.m)}; }
inline Mask<float> operator|(Mask<float> a, Mask<float> b) { return {__mmask16(a.m | b.m)}; }
inline bool any(Mask<float> m) { return m.m != 0; }
inline Vec<float> select(Mask<float> m, Vec<float> a, Vec<float> b) {
  return {_mm512_mask_blend_ps(m.m, b.v, a.v)};
}
inline Vec<float> copysign(Vec<float> magnitude, Vec<float> sign) {
  const __m512 bit = _mm512_set1_ps(float(-0.0));
  return {_mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v))};
}
inline Vec<float> scale2(Vec<float> x, Vec<float> n) { return {_mm512_scalef_ps(x.v, n.v)}; }
inline Split2<float> split2(Vec<float> x) {
  __m512i bits = _mm512_castps_si512(x.v);
  __m512i exponent = _mm512_srai_epi32(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f3504f3)), 23);
  bits = _mm512_sub_epi32(bits, _mm512_slli_epi32(exponent, 23));
  return {{_mm512_castsi512_ps(bits)}, {_mm512_cvtepi32_ps(exponent)}};
}
template <>
inline Mask<float> equal_u8<float>(const uint8_t* p, int value, int n) {
  const __mmask16 on = __mmask16((1u << n) - 1);
  return {_mm_mask_cmpeq_epi8_mask(on, _mm_maskz_loadu_epi8(on, p), _mm_set1_epi8(char(value)))};
}
inline void store_u8(uint8_t* p, Vec<float> x, int n) {
  _mm512_mask_cvtepi32_storeu_epi8(p, __mmask16((1u << n) - 1), _mm512_cvtps_epi32(x.v));
}
inline float sum(Vec<float> x) { return _mm512_reduce_add_ps(x.v); }
inline float largest(Vec<float> x) { return _mm512_reduce_max_ps(x.v); }
inline Vec<float> sums(const Vec<float> (&x)[16]) {
  __m512 four[4];  // of four vectors: their sums over each quarter, side by side
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512 a = x[4 * i].v, b = x[4 * i + 1].v, c = x[4 * i + 2].v, d = x[4 * i + 3].v;
    const __m512d ab =
        _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b)));
    const __m512d cd =
        _mm512_castps_pd(_mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d)));
    four[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                            _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)));
  }
  const __m512 low = _mm512_add_ps(_mm512_shuffle_f32x4(four[0], four[1], 0x44),
                                   _mm512_shuffle_f32x4(four[0], four[1], 0xee));
  const __m512 high = _mm512_add_ps(_mm512_shuffle_f32x4(four[2], four[3], 0x44),
                                    _mm512_shuffle_f32x4(four[2], four[3], 0xee));
  return {
      _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd))};
}

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int lanes = 8;
  __m512d v;
};
template <>
struct MaskOf<double> {
  __mmask8 m;
};

inline Vec<double> load(const double* p) { return {_mm512_loadu_pd(p)}; }
inline Vec<double> load(const double* p, Mask<double> on) {
  return {_mm512_maskz_loadu_pd(on.m, p)};
}
inline void store(double* p, Vec<double> x) { _mm512_storeu_pd(p, x.v); }
inline void stream(double* p, Vec<double> x) { _mm512_stream_pd(p, x.v); }
inline void store(double* p, Vec<double> x, Mask<double> on) {
  _mm512_mask_storeu_pd(p, on.m, x.v);
}
inline Vec<double> broadcast(double x) { return {_mm512_set1_pd(x)}; }
template <>
inline Mask<double> first<double>(int n) {
  return {__mmask8((1u << n) - 1)};
}
template <>
inline Mask<double> from<double>(int n) {
  return {__mmask8(~((1u << n) - 1))};
}
inline Vec<double> operator+(Vec<double> a, Vec<double> b) { return {_mm512_add_pd(a.v, b.v)}; }
inline Vec<double> operator-(Vec<double> a, Vec<double> b) { return {_mm512_sub_pd(a.v, b.v)}; }
inline Vec<double> operator*(Vec<double> a, Vec<double> b) { return {_mm512_mul_pd(a.v, b.v)}; }
inline Vec<double> operator/(Vec<double> a, Vec<double> b) { return {_mm512_div_pd(a.v, b.v)}; }
inline Vec<double> operator-(Vec<double> a) {
  return {_mm512_xor_pd(a.v, _mm512_set1_pd(double(-0.0)))};
}
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return {_mm512_fmadd_pd(a.v, b.v, c.v)};
}
inline Vec<double> max(Vec<double> a, Vec<double> b) { return {_mm512_max_pd(a.v, b.v)}; }
inline Vec<double> min(Vec<double> a, Vec<double> b) { return {_mm512_min_pd(a.v, b.v)}; }
inline Vec<double> abs(Vec<double> x) { return {_mm512_abs_pd(x.v)}; }
inline Vec<double> sqrt(Vec<double> x) { return {_mm512_sqrt_pd(x.v)}; }
inline Vec<double> round(Vec<double> x) {
  return {_mm512_roundscale_pd(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Mask<double> operator<(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LT_OQ)};
}
inline Mask<double> operator>(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ)};
}
inline Mask<double> operator<=(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_LE_OQ)};
}
inline Mask<double> operator==(Vec<double> a, Vec<double> b) {
  return {_mm512_cmp_pd_mask(a.v, b.v, _CMP_EQ_OQ)};
}
inline Mask<double> is_nan(Vec<double> x) { return {_mm512_cmp_pd_mask(x.v, x.v, _CMP_UNORD_Q)}; }
inline Mask<double> operator&(Mask<double> a, Mask<double> b) { return {__mmask8(a.m & b.m)}; }
inline Mask<double> operator|(Mask<double> a, Mask<double> b) { return {__mmask8(a.m | b.m)}; }
inline bool any(Mask<double> m) { return m.m != 0; }
inline Vec<double> select(Mask<double> m, Vec<double> a, Vec<double> b) {
  return {_mm512_mask_blend_pd(m.m, b.v, a.v)};
}
inline Vec<double> copysign(Vec<double> magnitude, Vec<double> sign) {
  const __m512d bit = _mm512_set1_pd(double(-0.0));
  return {_mm512_or_pd(_mm512_andnot_pd(bit, magnitude.v), _mm512_and_pd(bit, sign.v))};
}
inline Vec<double> scale2(Vec<double> x, Vec<double> n) { return {_mm512_scalef_pd(x.v, n.v)}; }
inline Split2<double> split2(Vec<double> x) {
  __m512i bits = _mm512_castpd_si512(x.v);
  __m512i exponent =
      _mm512_srai_epi64(_mm512_sub_epi64(bits, _mm512_set1_epi64(0x3fe6a09e667f3bcd)), 52);
  bits = _mm512_sub_epi64(bits, _mm512_slli_epi64(exponent, 52));
  return {{_mm512_castsi512_pd(bits)}, {_mm512_cvtepi64_pd(exponent)}};
}
template <>
inline Mask<double> equal_u8<double>(const uint8_t* p, int value, int n) {
  const __mmask16 on = __mmask16((1u << n) - 1);
  const __m128i bytes = _mm_maskz_loadu_epi8(on, p);
  return {__mmask8(_mm_mask_cmpeq_epi8_mask(on, bytes, _mm_set1_epi8(char(value))))};
}
inline void store_u8(uint8_t* p, Vec<double> x, int n) {
  _mm256_mask_cvtepi32_storeu_epi8(p, __mmask8((1u << n) - 1), _mm512_cvtpd_epi32(x.v));
}
inline double sum(Vec<double> x) { return _mm512_reduce_add_pd(x.v); }
inline double largest(Vec<double> x) { return _mm512_reduce_max_pd(x.v); }
inline Vec<double> sums(const Vec<double> (&x)[8]) {
  __m512d two[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    two[i] = _mm512_add_pd(_mm512_unpacklo_pd(x[2 * i].v, x[2 * i + 1].v),
                           _mm512_unpackhi_pd(x[2 * i].v, x[2 * i + 1].v));
  const __m512d low = _mm512_add_pd(_mm512_shuffle_f64x2(two[0], two[1], 0x44),
                                    _mm512_shuffle_f64x2(two[0], two[1], 0xee));
  const __m512d high = _mm512_add_pd(_mm512_shuffle_f64x2(two[2], two[3], 0x44),
                                     _mm512_shuffle_f64x2(two[2], two[3], 0xee));
  return {
      _mm512_add_pd(_mm512_shuffle_f64x2(low, high, 0x88), _mm512_shuffle_f64x2(low, high, 0xdd))};
}

template <>
inline Mask<float> not_below<float>(const uint32_t* p, uint32_t least) {
  return {_mm512_cmpge_epu32_mask(_mm512_loadu_si512(p), _mm512_set1_epi32(int(least)))};
}
template <>
inline Mask<double> not_below<double>(const uint32_t* p, uint32_t least) {
  __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm256_cmpge_epu32_mask(words, _mm256_set1_epi32(int(least)))};
}

struct U64 {
  static constexpr int lanes = 8;
  __m512i v;
};
inline U64 u64(uint64_t x) { return {_mm512_set1_epi64(int64_t(x))}; }
inline U64 counted(uint64_t x) {
  return {_mm512_add_epi64(u64(x).v, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))};
}
inline U64 operator^(U64 a, U64 b) { return {_mm512_xor_si512(a.v, b.v)}; }
inline U64 product(U64 a, U64 b) { return {_mm512_mul_epu32(a.v, b.v)}; }
inline U64 upper(U64 a) { return {_mm512_srli_epi64(a.v, 32)}; }
inline void store_fours(uint32_t* p, U64 a, U64 b, U64 c, U64 d) {
  __m512i ab = _mm512_mask_blend_epi32(0xaaaa, a.v, _mm512_slli_epi64(b.v, 32));
  __m512i cd = _mm512_mask_blend_epi32(0xaaaa, c.v, _mm512_slli_epi64(d.v, 32));
  _mm512_storeu_si512(p, _mm512_unpacklo_epi64(ab, cd));
  _mm512_storeu_si512(p + 16, _mm512_unpackhi_epi64(ab, cd));
}

inline Vec<float> load_bf16(const uint16_t* p, int n) {
  const __m256i half = n >= 16 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))
                               : _mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1), p);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
inline void store_bf16(uint16_t* p, Vec<float> x, int n) {
  const __m512i bits = _mm512_castps_si512(x.v), upper = _mm512_srli_epi32(bits, 16);
  const __m512i odd = _mm512_and_si512(upper, _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  const __m512i words =
      _mm512_mask_or_epi32(_mm512_srli_epi32(up, 16), nan, upper, _mm512_set1_epi32(0x40));
  const __m256i half = _mm512_cvtepi32_epi16(words);
  if (n >= 16) return _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), half);
  _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1), half);
}

}  // namespace
}  // namespace striate
