// SPDX-License-Identifier: Apache-2.0
// The vocabulary that kernels are written in, here with one lane. vec_avx2.h and vec_avx512.h spell
// the same words; this file says what they mean.
//
//   Vec<T>            `lanes` values of T (float or double)
//   Mask<T>           a truth value a lane
//   load(p), store(p, x)               any alignment
//   load(p, mask), store(p, x, mask)   lanes that are off read as 0, are not written, never fault
//   stream(p, x)      store(p, x) past the caches, p aligned to a whole vector (scalar: as store)
//   drain()           what was streamed is visible to other threads from here on
//   first<T>(n)       the mask of the first n lanes, 0 <= n <= lanes
//   from<T>(n)        the mask of the lanes from n on
//   fma(a, b, c)      a * b + c, rounded once where the ISA can (scalar: twice)
//   max(a, b)         a > b ? a : b, so b where either is NaN; min likewise
//   select(m, a, b)   a where m, else b
//   copysign(a, b)    |a| with b's sign
//   round(x)          to the nearest integer, ties to even
//   scale2(x, n)      x * 2^n for an integral n, |n| <= 252; past the range inf or, flushed, 0
//   split2(x)         for a normal x > 0: x = significand 2^exponent, sqrt(1/2) <= significand <
//                     sqrt(2), the exponent integral; for another x two numbers without a meaning
//   sum(x), largest(x)   over the lanes
//   sums(x)           of an array of `lanes` vectors: the sum of x[i] in lane i, each in the same
//                     order, with a third of the instructions
//   store_u8(p, x, n)        the first n lanes as bytes; x holds whole numbers 0 … 255
//   equal_u8<T>(p, value, n) those of the first n lanes whose byte at p is `value`, 0 … 255
//   load_bf16(p, n), store_bf16(p, x, n)   the first n lanes as bfloat16: widened, which is exact;
//                     rounded to nearest, ties to even, denormals kept, NaN made quiet
//   not_below<T>(p, least)   the lanes whose 32-bit word at p is >= least, unsigned
//
//   U64               `U64::lanes` unsigned 64-bit numbers; ^ works on them
//   u64(x)            x in every lane
//   counted(x)        x, x + 1, … in the lanes that store_fours() stores first, second, …
//   product(a, b)     of the lower halves
//   upper(a)          the upper halves, as numbers
//   store_fours(p, a, b, c, d)   the lower halves, lane by lane: p[4 i] = a, … p[4 i + 3] = d
//
// HERE_<isa>(…)      what is in the brackets in the files of that ISA, nothing in the others'
//
// Sealed: everything is in an anonymous namespace, so no ISA's code can stand in for another's.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd/vec_one.h"

#define STRIATE_MATH "simd/math_fma.h"
#define HERE_scalar(...) __VA_ARGS__
#define HERE_avx2(...)
#define HERE_avx512(...)

namespace striate {
namespace {

template <class T>
inline Vec<T> load(const T* p) {
  return {*p};
}
template <class T>
inline Vec<T> load(const T* p, Mask<T> on) {
  return {on.m ? *p : T(0)};
}
template <class T>
inline void store(T* p, Vec<T> x) {
  *p = x.v;
}
template <class T>
inline void store(T* p, Vec<T> x, Mask<T> on) {
  if (on.m) *p = x.v;
}
template <class T>
inline void stream(T* p, Vec<T> x) {
  *p = x.v;
}
inline void drain() {}
template <class T>
inline Mask<T> first(int n) {
  return {n > 0};
}
template <class T>
inline Mask<T> from(int n) {
  return {n <= 0};
}

template <class T>
inline Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) {
  return {a.v * b.v + c.v};
}
template <class T>
inline Vec<T> abs(Vec<T> x) {
  return {std::fabs(x.v)};
}
template <class T>
inline Vec<T> sqrt(Vec<T> x) {
  return {std::sqrt(x.v)};
}
template <class T>
inline Vec<T> round(Vec<T> x) {
  return {std::nearbyint(x.v)};
}

template <class T>
inline Vec<T> copysign(Vec<T> magnitude, Vec<T> sign) {
  return {std::copysign(magnitude.v, sign.v)};
}

inline float power_of_2(int32_t n, float) {
  uint32_t bits = uint32_t(n + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}
inline double power_of_2(int32_t n, double) {
  uint64_t bits = uint64_t(n + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return power;
}
template <class T>
inline Vec<T> scale2(Vec<T> x, Vec<T> n) {
  int32_t whole = int32_t(n.v), half = whole / 2;
  return {x.v * power_of_2(half, T()) * power_of_2(whole - half, T())};
}

template <class T>
struct Split2 {
  Vec<T> significand, exponent;
};
inline Split2<float> split2(Vec<float> x) {
  uint32_t bits;
  std::memcpy(&bits, &x.v, sizeof bits);
  int32_t exponent = int32_t(bits - 0x3f3504f3u) >> 23;
  bits -= uint32_t(exponent) << 23;
  float significand;
  std::memcpy(&significand, &bits, sizeof bits);
  return {{significand}, {float(exponent)}};
}
inline Split2<double> split2(Vec<double> x) {
  uint64_t bits;
  std::memcpy(&bits, &x.v, sizeof bits);
  int64_t exponent = int64_t(bits - 0x3fe6a09e667f3bcdu) >> 52;
  bits -= uint64_t(exponent) << 52;
  double significand;
  std::memcpy(&significand, &bits, sizeof bits);
  return {{significand}, {double(exponent)}};
}

template <class T>
inline Mask<T> equal_u8(const uint8_t* p, int value, int n) {
  return {n > 0 && *p == value};
}
template <class T>
inline void store_u8(uint8_t* p, Vec<T> x, int n) {
  if (n > 0) *p = uint8_t(x.v);
}

template <class T>
inline T sum(Vec<T> x) {
  return x.v;
}
template <class T>
inline T largest(Vec<T> x) {
  return x.v;
}
template <class T>
inline Vec<T> sums(const Vec<T> (&x)[1]) {
  return x[0];
}

inline Vec<float> load_bf16(const uint16_t* p, int n) {
  const uint32_t bits = n > 0 ? uint32_t(*p) << 16 : 0;
  Vec<float> x;
  std::memcpy(&x.v, &bits, 4);
  return x;
}
inline void store_bf16(uint16_t* p, Vec<float> x, int n) {
  if (n <= 0) return;
  uint32_t bits;
  std::memcpy(&bits, &x.v, 4);
  const bool nan = (bits & 0x7fffffff) > 0x7f800000;
  *p = uint16_t(nan ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace
}  // namespace striate
