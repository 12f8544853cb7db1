// SPDX-License-Identifier: Apache-2.0
// What softmax and the losses do along a row of n elements, unit stride. Sums are of a fixed order,
// in blocks whose sums are added up one level higher, so that long rows keep their digits.
#pragma once
#include <cmath>

#include "simd/math.h"

namespace striate {
namespace {

// x, with `fill` in the lanes past the first `left`.
template <class T>
Vec<T> load_filled(const T* x, ptrdiff_t left, T fill) {
  if (left >= Vec<T>::lanes) return load(x);
  Mask<T> on = first<T>(int(left));
  return select(on, load(x, on), broadcast(fill));
}

template <class T>
void store_first(T* p, Vec<T> x, ptrdiff_t left) {
  if (left >= Vec<T>::lanes)
    store(p, x);
  else
    store(p, x, first<T>(int(left)));
}

// x in the first `left` lanes, 0 in the others.
template <class T>
Vec<T> only(Vec<T> x, ptrdiff_t left) {
  return left >= Vec<T>::lanes ? x : select(first<T>(int(left)), x, broadcast(T(0)));
}

// The largest element; any where one is NaN.
template <class T>
T row_max(const T* x, ptrdiff_t n) {
  constexpr int lanes = Vec<T>::lanes;
  const T lowest = T(-HUGE_VAL);
  Vec<T> a = broadcast(lowest), b = a, c = a, d = a;
  ptrdiff_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    a = max(a, load(x + i));
    b = max(b, load(x + i + lanes));
    c = max(c, load(x + i + 2 * lanes));
    d = max(d, load(x + i + 3 * lanes));
  }
  for (; i < n; i += lanes) a = max(a, load_filled(x + i, n - i, lowest));
  return largest(max(max(a, b), max(c, d)));
}

// Calls f(i, left) for the vectors of [begin, end): i is where one begins, left how many elements
// it has, a constant but for the last one, so that what depends on it is decided in compilation.
template <class T, class F>
void row_each(ptrdiff_t begin, ptrdiff_t end, F f) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t i = begin;
  for (; i + lanes <= end; i += lanes) f(i, ptrdiff_t(lanes));
  if (i < end) f(i, end - i);
}

// The sum of value(i, left) over the vectors of a row. Lanes from `left` on must be 0.
template <class T, class F>
T row_total(ptrdiff_t n, F value) {
  constexpr ptrdiff_t kBlock = 64 * Vec<T>::lanes;
  Vec<T> total = broadcast(T(0));
  for (ptrdiff_t begin = 0; begin < n; begin += kBlock) {
    Vec<T> part = broadcast(T(0));
    row_each<T>(begin, begin + kBlock < n ? begin + kBlock : n,
                [&](ptrdiff_t i, ptrdiff_t left) { part = part + value(i, left); });
    total = total + part;
  }
  return sum(total);
}

// The sum of f(a[i], b[i]), f(0, 0) being 0.
template <class T, class F>
T row_sum(const T* a, const T* b, ptrdiff_t n, F f) {
  return row_total<T>(n, [=](ptrdiff_t i, ptrdiff_t left) {
    return f(load_filled(a + i, left, T(0)), load_filled(b + i, left, T(0)));
  });
}

// e^d for d = x - m <= 0, m being near the largest x: as exp in math.h, but the range needs no
// upper end, and n ln 2 is one product. That is off by |d| 2.8e-9 (without a fused multiply-add
// 6e-8), where rounding d has moved e^d by up to |d| 6e-8 before.
inline Vec<float> exp_below(Vec<float> d) {
  const Vec<float> magic = broadcast(12582912.0f);  // 1.5 2^23: what is added to it is rounded
  const Vec<float> x = max(broadcast(-104.0f), d);
  const Vec<float> n = fma(x, broadcast(1.44269504f), magic) - magic;
  const Vec<float> r = fma(n, broadcast(-0.693147182f), x);
  Vec<float> q = broadcast(1.3814467e-3f);
  q = fma(q, r, broadcast(8.3687808e-3f));
  q = fma(q, r, broadcast(4.1668393e-2f));
  q = fma(q, r, broadcast(1.6666520e-1f));
  q = fma(q, r, broadcast(4.9999994e-1f));
  q = fma(q, r, broadcast(1.0f));
  return scale2(fma(q, r, broadcast(1.0f)), n);
}
inline Vec<double> exp_below(Vec<double> d) { return exp(d); }

// sum exp(x[i] - shift), shift >= x[i], the exponentials kept in y unless it is null. ahead(i) is
// called for each vector, to prefetch what comes next.
template <class T, class F>
T row_exp_sum(const T* x, ptrdiff_t n, T shift, T* y, F ahead) {
  const Vec<T> s = broadcast(shift);
  auto value = [=](ptrdiff_t i, ptrdiff_t left) {
    ahead(i);
    return exp_below(load_filled(x + i, left, T(-HUGE_VAL)) - s);
  };
  if (y == nullptr) return row_total<T>(n, value);
  return row_total<T>(n, [=](ptrdiff_t i, ptrdiff_t left) {
    Vec<T> e = value(i, left);
    store_first(y + i, e, left);
    return e;
  });
}
template <class T>
T row_exp_sum(const T* x, ptrdiff_t n, T shift, T* y) {
  return row_exp_sum(x, n, shift, y, [](ptrdiff_t) {});
}

// The logarithm of one number: that of its copies, all alike.
template <class T>
T log_of(T x) {
  return largest(log(broadcast(x)));
}

}  // namespace
}  // namespace striate
