// SPDX-License-Identifier: Apache-2.0
// Vectors of one lane: those words of vec_scalar.h, which says what they mean, that need nothing of
// the standard library, and so serve CUDA's threads as well (cuda/device/vec.cuh). Integers of
// known size are named before this file is included.
#pragma once

namespace striate {
namespace {

template <class T>
struct Vec {
  using Scalar = T;
  static constexpr int lanes = 1;
  T v;
};

template <class T>
struct MaskOf {
  bool m;
};
template <class T>
using Mask = MaskOf<T>;

template <class T>
inline Vec<T> broadcast(T x) {
  return {x};
}

template <class T>
inline Vec<T> operator+(Vec<T> a, Vec<T> b) {
  return {a.v + b.v};
}
template <class T>
inline Vec<T> operator-(Vec<T> a, Vec<T> b) {
  return {a.v - b.v};
}
template <class T>
inline Vec<T> operator*(Vec<T> a, Vec<T> b) {
  return {a.v * b.v};
}
template <class T>
inline Vec<T> operator/(Vec<T> a, Vec<T> b) {
  return {a.v / b.v};
}
template <class T>
inline Vec<T> operator-(Vec<T> a) {
  return {-a.v};
}
template <class T>
inline Vec<T> max(Vec<T> a, Vec<T> b) {
  return {a.v > b.v ? a.v : b.v};
}
template <class T>
inline Vec<T> min(Vec<T> a, Vec<T> b) {
  return {a.v < b.v ? a.v : b.v};
}

template <class T>
inline Mask<T> operator<(Vec<T> a, Vec<T> b) {
  return {a.v < b.v};
}
template <class T>
inline Mask<T> operator>(Vec<T> a, Vec<T> b) {
  return {a.v > b.v};
}
template <class T>
inline Mask<T> operator<=(Vec<T> a, Vec<T> b) {
  return {a.v <= b.v};
}
template <class T>
inline Mask<T> operator==(Vec<T> a, Vec<T> b) {
  return {a.v == b.v};
}
template <class T>
inline Mask<T> is_nan(Vec<T> x) {
  return {x.v != x.v};
}
template <class T>
inline Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {a.m && b.m};
}
template <class T>
inline Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return {a.m || b.m};
}
template <class T>
inline bool any(Mask<T> m) {
  return m.m;
}
template <class T>
inline Vec<T> select(Mask<T> m, Vec<T> a, Vec<T> b) {
  return m.m ? a : b;
}

template <class T>
inline Mask<T> not_below(const uint32_t* p, uint32_t least) {
  return {*p >= least};
}

struct U64 {
  static constexpr int lanes = 1;
  uint64_t v;
};
inline U64 u64(uint64_t x) { return {x}; }
inline U64 counted(uint64_t x) { return {x}; }
inline U64 operator^(U64 a, U64 b) { return {a.v ^ b.v}; }
inline U64 product(U64 a, U64 b) { return {(a.v & 0xffffffff) * (b.v & 0xffffffff)}; }
inline U64 upper(U64 a) { return {a.v >> 32}; }
inline void store_fours(uint32_t* p, U64 a, U64 b, U64 c, U64 d) {
  p[0] = uint32_t(a.v), p[1] = uint32_t(b.v), p[2] = uint32_t(c.v), p[3] = uint32_t(d.v);
}

}  // namespace
}  // namespace striate
