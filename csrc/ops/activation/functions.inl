// SPDX-License-Identifier: Apache-2.0
// The activations over a vector type: the smooth ones here, those made of pieces of straight lines
// in piecewise.inl. `p` holds the parameters, broadcast. What includes this file has the
// vocabulary: simd/vec_<isa>.h and simd/math.h, or on the GPU cuda/device/vec.cuh.
namespace striate {
namespace {

template <class V>
V constant(double value) {
  return broadcast(typename V::Scalar(value));
}

// The parameters, broadcast.
template <class V>
struct Pair {
  V a, b;
};

}  // namespace
}  // namespace striate

#include "ops/activation/piecewise.inl"

namespace striate {
namespace {

// Each gives f(x) and, from what it saves, f' times dy. PyTorch's semantics at kinks, infinities
// and NaN: where a formula meets inf * 0 there, it does here.

// x, or p (e^x - 1) where x <= 0; p >= 0; saves y.
struct Elu {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return select(x > constant<V>(0), x, p.a * expm1(x));
  }
  template <class V>
  static V backward(V y, V dy, Pair<V> p) {
    return select(y > constant<V>(0), dy, dy * (y + p.a));
  }
};

// 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x; saves x.
struct Erf {
  template <class V>
  static V forward(V x, Pair<V>) {
    return erf(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy * (constant<V>(1.1283791670955126) * exp(-x * x));
  }
};

// 1 - erf(x), with all digits where it is near 0; saves x.
struct Erfc {
  template <class V>
  static V forward(V x, Pair<V>) {
    return erfc(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy * (constant<V>(-1.1283791670955126) * exp(-x * x));
  }
};

// e^x; saves y.
struct Exp {
  template <class V>
  static V forward(V x, Pair<V>) {
    return exp(x);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return dy * y;
  }
};

// Logarithms, to the base e, of 1 + x, to the bases 2 and 10; save x. -inf at 0, NaN below.
struct Log {
  template <class V>
  static V forward(V x, Pair<V>) {
    return log(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy / x;
  }
};

struct Log1p {
  template <class V>
  static V forward(V x, Pair<V>) {
    return log1p(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy / (constant<V>(1) + x);
  }
};

struct Log2 {
  template <class V>
  static V forward(V x, Pair<V>) {
    return log2(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy / (x * constant<V>(0.6931471805599453));
  }
};

struct Log10 {
  template <class V>
  static V forward(V x, Pair<V>) {
    return log10(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    return dy / (x * constant<V>(2.302585092994046));
  }
};

// 1 / (1 + e^-x); saves y.
struct Sigmoid {
  template <class V>
  static V forward(V x, Pair<V>) {
    return sigmoid(x);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return dy * ((constant<V>(1) - y) * y);
  }
};

// tanh(x); saves y.
struct Tanh {
  template <class V>
  static V forward(V x, Pair<V>) {
    return tanh(x);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return dy * ((constant<V>(1) - y) * (constant<V>(1) + y));
  }
};

// log(1 + e^(p x)) / p; saves y, from which the slope sigmoid(p x) is 1 - e^(-p y).
struct Softplus {
  template <class V>
  static V forward(V x, Pair<V> p) {
    V z = p.a * x;
    return (max(constant<V>(0), z) + log1p_unit(exp(-abs(z)))) * (constant<V>(1) / p.a);
  }
  template <class V>
  static V backward(V y, V dy, Pair<V> p) {
    return -dy * expm1(-(p.a * y));
  }
};

// x Phi(x), Phi the normal distribution's; saves x.
struct Gelu {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x * normal(x).cdf;
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    Normal<V> n = normal(x);
    return dy * fma(x, n.density, n.cdf);
  }
};

// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3); saves x.
struct GeluTanh {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x * sigmoid(twice_u(x));
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V s = sigmoid(twice_u(x));
    V slope = fma(constant<V>(3 * kCubic), x * x, constant<V>(kLinear));
    return dy * fma(x * s * (constant<V>(1) - s), slope, s);
  }

 private:
  static constexpr double kLinear = 1.5957691216057308, kCubic = kLinear * 0.044715;
  template <class V>
  static V twice_u(V x) {
    return x * fma(constant<V>(kCubic), x * x, constant<V>(kLinear));
  }
};

// x sigmoid(x); saves x.
struct Silu {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x / (constant<V>(1) + exp(-x));  // a quotient: sigmoid is 0 before this is
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V s = sigmoid(x);
    return dy * (s * fma(x, constant<V>(1) - s, constant<V>(1)));
  }
};

// s x, or s a (e^x - 1) where x <= 0, with the s and a that keep mean 0 and variance 1; saves y.
struct Selu {
  template <class V>
  static V forward(V x, Pair<V>) {
    V y = select(x > constant<V>(0), x, constant<V>(kAlpha) * expm1(x));
    return constant<V>(kScale) * y;
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    V slope = select(y > constant<V>(0), constant<V>(kScale), y + constant<V>(kScale * kAlpha));
    return dy * slope;
  }

 private:
  static constexpr double kAlpha = 1.6732632423543772848, kScale = 1.0507009873554804934;
};

// x, or p (e^(x / p) - 1) where x <= 0; saves y, whose sign is x's for any p.
struct Celu {
  template <class V>
  static V forward(V x, Pair<V> p) {
    return select(x > constant<V>(0), x, p.a * expm1(x / p.a));
  }
  template <class V>
  static V backward(V y, V dy, Pair<V> p) {
    return select(y > constant<V>(0), dy, dy * (y / p.a + constant<V>(1)));
  }
};

// x t, t = tanh(log(1 + e^x)); saves x. With w = e^-|x|, t is a quotient that can't overflow.
struct Mish {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x * squashed(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V t = squashed(x);
    V slope = (constant<V>(1) - t) * (constant<V>(1) + t) * sigmoid(x);
    return dy * fma(x, slope, t);
  }

 private:
  template <class V>
  static V squashed(V x) {
    V w = exp(-abs(x));
    Mask<typename V::Scalar> positive = x > constant<V>(0);
    V n = select(positive, w + w + constant<V>(1), w * (w + constant<V>(2)));
    return quotient(n, n + select(positive, constant<V>(2) * w * w, constant<V>(2)));
  }
};

// log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|); saves y, from which the slope sigmoid(-x) is
// 1 - e^y.
struct LogSigmoid {
  template <class V>
  static V forward(V x, Pair<V>) {
    return min(constant<V>(0), x) - log1p_unit(exp(-abs(x)));
  }
  template <class V>
  static V backward(V y, V dy, Pair<V>) {
    return -dy * expm1(y);
  }
};

// x / (1 + |x|); saves x, since 1 - |y| has few digits left where x is large.
struct Softsign {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x / (constant<V>(1) + abs(x));
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V d = constant<V>(1) + abs(x);
    return dy / (d * d);
  }
};

// x - tanh(x); saves x. Error: that of tanh, 3 ULP of x where x is small.
struct Tanhshrink {
  template <class V>
  static V forward(V x, Pair<V>) {
    return x - tanh(x);
  }
  template <class V>
  static V backward(V x, V dy, Pair<V>) {
    V t = tanh(x);
    return dy * (t * t);
  }
};

}  // namespace
}  // namespace striate
