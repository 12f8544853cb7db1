// SPDX-License-Identifier: Apache-2.0
// Losses element by element, value and slope in one pass. Bound: memory, two streams in and one
// out: 12 bytes a float32 element. Of the binary cross entropy, the exponential, log(1 + x) and two
// quotients: some 50 instructions a vector, which for 16 lanes is still below what memory gives.
#include "ops/loss/loss.h"
#include "simd/row.h"

namespace striate {
namespace {

// d^2, d = x - t
struct SquaredError {
  template <class V>
  static V value(V x, V t, V, V& slope) {
    V d = x - t;
    slope = d + d;
    return d * d;
  }
};

// |d|; slope 0 at 0
struct AbsoluteError {
  template <class V>
  static V value(V x, V t, V, V& slope) {
    using T = typename V::Scalar;
    V d = x - t, zero = broadcast(T(0));
    slope = select(abs(d) > zero, copysign(broadcast(T(1)), d), d);
    return abs(d);
  }
};

// m (|d| - m / 2), m = min(|d|, p): half a square where |d| <= p, a line from there on
struct Huber {
  template <class V>
  static V value(V x, V t, V p, V& slope) {
    using T = typename V::Scalar;
    V d = x - t;
    V m = min(p, abs(d));
    slope = copysign(m, d);
    return m * fma(m, broadcast(T(-0.5)), abs(d));
  }
};

// (1 - t) x + log(1 + e^-x), for x < 0 as -t x + log(1 + e^x): nothing overflows, no digit is lost
// between the terms; slope sigmoid(x) - t
struct BinaryLogits {
  template <class V>
  static V value(V x, V t, V, V& slope) {
    using T = typename V::Scalar;
    const V zero = broadcast(T(0)), one = broadcast(T(1));
    V e = exp(-abs(x));
    slope = select(x < zero, e, one) / (one + e) - t;
    return select(x < zero, -t, one - t) * x + log1p_unit(e);
  }
};

template <class F, class T>
T pointwise(const PointwiseRun<T>& run) {
  const Vec<T> p = broadcast(run.parameter);
  const Vec<T> factor = broadcast(run.factor), scale = broadcast(run.scale);
  const T *x = run.x, *target = run.target;
  T *loss = run.loss, *dx = run.dx;
  return row_total<T>(run.n, [=](ptrdiff_t i, ptrdiff_t left) {
    Vec<T> slope;
    Vec<T> value =
        F::value(load_filled(x + i, left, T(0)), load_filled(target + i, left, T(0)), p, slope);
    value = value * factor;
    if (dx) store_first(dx + i, slope * scale, left);
    if (loss) store_first(loss + i, value, left);
    return only(value, left);
  });
}

}  // namespace
}  // namespace striate
