// SPDX-License-Identifier: Apache-2.0
// Bound: memory, one stream of 4 bytes a float32 element, which is the floor. An operation has 4
// cycles of latency and two ports; 4 chains are one vector a cycle, as much as L2 gives, and a part
// comes from there at the fastest.
#include "ops/vector_norm/vector_norm.h"

namespace striate {
namespace {

struct Squares {
  template <class V>
  static V with(V total, V x) {
    return fma(x, x, total);
  }
  template <class V>
  static V both(V a, V b) {
    return a + b;
  }
  template <class V>
  static auto over(V x) {
    return sum(x);
  }
};

struct Absolute {
  template <class V>
  static V with(V total, V x) {
    return total + abs(x);
  }
  template <class V>
  static V both(V a, V b) {
    return a + b;
  }
  template <class V>
  static auto over(V x) {
    return sum(x);
  }
};

// max takes its second operand where either is NaN; a NaN that is held must stay.
struct Largest {
  template <class V>
  static V both(V a, V b) {
    return select(is_nan(a), a, max(a, b));
  }
  template <class V>
  static V with(V total, V x) {
    return both(total, abs(x));
  }
  template <class V>
  static auto over(V x) {
    using T = typename V::Scalar;
    Mask<T> nan = is_nan(x);
    return any(nan) ? T(NAN) : largest(x);
  }
};

template <class F, class T>
T norm_total(const T* x, ptrdiff_t n) {
  constexpr int lanes = Vec<T>::lanes;
  constexpr int kChains = 4;
  Vec<T> part[kChains];
  for (auto& p : part) p = broadcast(T(0));
  ptrdiff_t i = 0;
  for (; i + kChains * lanes <= n; i += kChains * lanes)
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) part[c] = F::with(part[c], load(x + i + c * lanes));
  for (int c = 0; i < n; ++c, i += lanes) {
    ptrdiff_t left = n - i;
    part[c] = F::with(part[c], load(x + i, first<T>(int(left < lanes ? left : lanes))));
  }
  return F::over(F::both(F::both(part[0], part[1]), F::both(part[2], part[3])));
}

}  // namespace
}  // namespace striate

// What a row is, for the ISA files.
#define TOTAL_squares Squares
#define TOTAL_absolute Absolute
#define TOTAL_largest Largest
#define DEFINE_NORM(name, T, what) \
  T name(const T* x, ptrdiff_t n) { return norm_total<TOTAL_##what>(x, n); }
