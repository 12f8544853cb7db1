// SPDX-License-Identifier: Apache-2.0
// Local response norm, see norm.h. A vector of channels reads its neighbours by loads that are
// shifted by one channel each: from x itself, which is in L1, so that no load waits for a store.
// The gradient does keep its terms, of 8 rows at a time: by the time they are read again the stores
// have left the store buffer.
//
// s^-3/4, the usual exponent, takes two square roots; any other goes through pow, lane by lane.
// Bound: the square roots and the division (about 25 cycles a vector), then memory.
#include <cmath>

#include "ops/norm/norm.h"

namespace striate {
namespace {

struct ThreeQuarters {
  template <class T>
  static Vec<T> power(Vec<T> s, T) {
    Vec<T> root = sqrt(s);
    return root * sqrt(root);
  }
};
struct AnyPower {
  static float power(float s, float beta) { return ::powf(s, beta); }
  static double power(double s, double beta) { return ::pow(s, beta); }
  template <class T>
  static Vec<T> power(Vec<T> s, T beta) {
    T lane[Vec<T>::lanes];
    store(lane, s);
    for (T& v : lane) v = power(v, beta);
    return load(lane);
  }
};

// The sum over d from -before to after of f(row[c + d]), zero outside the row.
template <class T, class F>
inline Vec<T> window_sum(const T* row, ptrdiff_t c, ptrdiff_t channels, ptrdiff_t before,
                         ptrdiff_t after, F f) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> total = broadcast(T(0));
  if (c >= before && c + lanes + after <= channels) {
    for (ptrdiff_t d = -before; d <= after; ++d) total = f(load(row + c + d), total);
    return total;
  }
  for (ptrdiff_t d = -before; d <= after; ++d) {
    ptrdiff_t begin = c + d, left = channels - begin;
    if (begin <= -lanes || left <= 0) continue;
    Mask<T> on = first<T>(int(left < lanes ? left : lanes)) & from<T>(int(begin < 0 ? -begin : 0));
    total = f(load(row + begin, on), total);
  }
  return total;
}

struct Squares {
  template <class V>
  V operator()(V x, V total) const {
    return fma(x, x, total);
  }
};
struct Terms {
  template <class V>
  V operator()(V x, V total) const {
    return total + x;
  }
};

template <class T>
inline Vec<T> spread(const LrnArgs<T>& a, const T* x, ptrdiff_t c) {
  Vec<T> squares = window_sum(x, c, a.channels, a.size / 2, (a.size - 1) / 2, Squares());
  return fma(squares, broadcast(a.share), broadcast(a.k));
}

template <class Power, class T>
void lrn(const LrnArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  for (ptrdiff_t i = 0; i < a.rows; ++i) {
    const T* x = a.x + i * a.channels;
    for (ptrdiff_t c = 0; c < a.channels; c += lanes) {
      ptrdiff_t left = a.channels - c;
      Mask<T> on = first<T>(int(left < lanes ? left : lanes));
      store(a.y + i * a.channels + c, load(x + c, on) / Power::power(spread(a, x, c), a.beta), on);
    }
  }
}

template <class Power, class T>
void lrn_backward_block(const LrnArgs<T>& a, ptrdiff_t i0, ptrdiff_t rows) {
  constexpr int lanes = Vec<T>::lanes;
  const Vec<T> slope = broadcast(T(-2) * a.share * a.beta);
  for (ptrdiff_t i = 0; i < rows; ++i) {
    ptrdiff_t at = (i0 + i) * a.channels;
    for (ptrdiff_t c = 0; c < a.channels; c += lanes) {
      ptrdiff_t left = a.channels - c;
      Mask<T> on = first<T>(int(left < lanes ? left : lanes));
      Vec<T> s = spread(a, a.x + at, c);
      Vec<T> scaled = load(a.dy + at + c, on) / Power::power(s, a.beta);
      store(a.y + at + c, scaled, on);
      store(a.scratch + i * a.channels + c, scaled * load(a.x + at + c, on) / s, on);
    }
  }
  for (ptrdiff_t i = 0; i < rows; ++i) {
    ptrdiff_t at = (i0 + i) * a.channels;
    for (ptrdiff_t c = 0; c < a.channels; c += lanes) {
      ptrdiff_t left = a.channels - c;
      Mask<T> on = first<T>(int(left < lanes ? left : lanes));
      Vec<T> terms = window_sum(a.scratch + i * a.channels, c, a.channels, (a.size - 1) / 2,
                                a.size / 2, Terms());
      Vec<T> dx = fma(slope * load(a.x + at + c, on), terms, load(a.y + at + c, on));
      store(a.y + at + c, dx, on);
    }
  }
}

template <class T>
void lrn_forward(const LrnArgs<T>& a) {
  if (a.beta == T(0.75)) return lrn<ThreeQuarters>(a);
  lrn<AnyPower>(a);
}

template <class T>
void lrn_backward(const LrnArgs<T>& a) {
  for (ptrdiff_t i = 0; i < a.rows; i += kLrnRows) {
    ptrdiff_t rows = a.rows - i < kLrnRows ? a.rows - i : kLrnRows;
    if (a.beta == T(0.75))
      lrn_backward_block<ThreeQuarters>(a, i, rows);
    else
      lrn_backward_block<AnyPower>(a, i, rows);
  }
}

}  // namespace
}  // namespace striate
