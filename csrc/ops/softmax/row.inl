// SPDX-License-Identifier: Apache-2.0
// What softmax and cross entropy do along a row of n elements, unit stride: its largest element,
// and the exponentials of its distances from that. Sums are of fixed order, in blocks, so that
// their error grows with the square root of n at most.
#include <cmath>

#include "simd/math.h"

namespace striate {
namespace {

// x, with `fill` in the lanes past the first `left`.
template <class T>
Vec<T> load_filled(const T* x, ptrdiff_t left, T fill) {
  constexpr int lanes = Vec<T>::lanes;
  if (left >= lanes) return load(x);
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

// The sum of f(x[i]) where f is 0 at -inf. Kept values go to y (null: dropped).
template <class T, class F>
T row_sum(const T* x, ptrdiff_t n, T* y, F f) {
  constexpr int lanes = Vec<T>::lanes;
  constexpr ptrdiff_t kBlock = 64 * lanes;
  Vec<T> total = broadcast(T(0));
  for (ptrdiff_t begin = 0; begin < n; begin += kBlock) {
    ptrdiff_t end = begin + kBlock < n ? begin + kBlock : n;
    Vec<T> part = broadcast(T(0));
    for (ptrdiff_t i = begin; i < end; i += lanes) {
      Vec<T> value = f(load_filled(x + i, end - i, T(-HUGE_VAL)));
      if (y) store_first(y + i, value, end - i);
      part = part + value;
    }
    total = total + part;
  }
  return sum(total);
}

// sum exp(x[i] - shift), the exponentials kept in y unless it is null.
template <class T>
T row_exp_sum(const T* x, ptrdiff_t n, T shift, T* y) {
  const Vec<T> s = broadcast(shift);
  return row_sum(x, n, y, [s](Vec<T> v) { return exp(v - s); });
}

inline float log_of(float x) { return ::logf(x); }
inline double log_of(double x) { return ::log(x); }

}  // namespace
}  // namespace striate
