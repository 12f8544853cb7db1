// SPDX-License-Identifier: Apache-2.0
// The activations that are made of pieces of straight lines. What each gives is told in
// functions.inl, which includes this file.
//
// Bound: memory. Limits are written so that a NaN passes: max(limit, x) and min(limit, x) give
// their second operand then, and comparisons with it are false.
namespace striate {
namespace {

// max(x, 0); saves y. Keeps NaN and the sign of zero.
struct Relu {
  template <class V>
  static V forward(V x, Pair<V>) {
    return max(constant<V>(0), x);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return select(y <= constant<V>(0), constant<V>(0), dy);
  }
};

// x, or p x where x <= 0; saves y (x where p < 0).
struct LeakyRelu {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return select(x > constant<V>(0), x, x * p.a);
  }
  template <class V>
  static V backward(V saved, V dy, Pair<V> p) {
    return select(saved > constant<V>(0), dy, dy * p.a);
  }
};

// x between the limits a and b, which it does not leave; saves y. Slope 0 at the limits.
struct Hardtanh {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return max(p.a, min(p.b, x));
  }
  template <class V>
  static V backward(V y, V dy, Pair<V> p) {
    return select((y <= p.a) | (p.b <= y), constant<V>(0), dy);
  }
};

// min(max(x + 3, 0), 6) / 6, in three pieces what the sigmoid is; saves y.
struct Hardsigmoid {
  template <class V>
  static V forward(V x, Pair<V>) {
    return level(x) / constant<V>(6);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return select((y <= constant<V>(0)) | (constant<V>(1) <= y), constant<V>(0),
                  dy / constant<V>(6));
  }
  template <class V>
  static V level(V x) {  // 0 … 6
    return min(constant<V>(6), max(constant<V>(0), x + constant<V>(3)));
  }
};

// x hardsigmoid(x); saves x.
struct Hardswish {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x * Hardsigmoid::forward(x, Pair<V>{});  // not x * 6 / 6: that overflows
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V inside = dy * fma(x, constant<V>(1. / 3), constant<V>(0.5));
    V slope = select(x <= constant<V>(-3), constant<V>(0), inside);
    return select(constant<V>(3) <= x, dy, slope);
  }
};

// x where |x| > p, else 0; saves x.
struct Hardshrink {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return select((-p.a <= x) & (x <= p.a), constant<V>(0), x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V> p) {
    return select((-p.a <= x) & (x <= p.a), constant<V>(0), dy);
  }
};

// x moved towards 0 by p, and 0 where |x| <= p; saves x.
struct Softshrink {
  template <class V>
  static V forward(V x, Pair<V> p) {
    V below = select(x < -p.a, x + p.a, x * constant<V>(0));  // NaN stays NaN
    return select(x > p.a, x - p.a, below);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V> p) {
    return select((-p.a <= x) & (x <= p.a), constant<V>(0), dy);
  }
};

// x where x > a, else b; saves x.
struct Threshold {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return select(x <= p.a, p.b, x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V> p) {
    return select(x <= p.a, constant<V>(0), dy);
  }
};

// 1 where x > 0, else 0; saves x. The slope is 0 almost everywhere, so the gradient is another
// function's: dy where |x| <= p (the straight-through estimator).
struct Step {
  template <class V>
  static V forward(V x, Pair<V>) {
    V y = select(x > constant<V>(0), constant<V>(1), constant<V>(0));
    return select(is_nan(x), x, y);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V> p) {
    return select(abs(x) <= p.a, dy, constant<V>(0));
  }
};

}  // namespace
}  // namespace striate
