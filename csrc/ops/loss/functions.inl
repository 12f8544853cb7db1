// SPDX-License-Identifier: Apache-2.0
// Losses of an element x against its target t, over any vector type: value(x, t, parameter, slope)
// gives the loss, and in `slope` its derivative by x.
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

}  // namespace
}  // namespace striate
