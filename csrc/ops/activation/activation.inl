// SPDX-License-Identifier: Apache-2.0
// The activations, and the two loops that apply them. `p` is the parameter, broadcast.
//
// Bound: memory for the cheap ones; for those with an exponential about 20 instructions a vector,
// independent from one vector to the next, which the hardware overlaps. Any alignment; tails are
// masked.
#include "ops/activation/activation.h"
#include "simd/math.h"

namespace striate {
namespace {

template <class V>
V constant(double value) {
  return broadcast(typename V::Scalar(value));
}

// Each gives f(x) and, from what it saves, f' times dy. PyTorch's semantics at kinks, infinities
// and NaN: where a formula meets inf * 0 there, it does here.

// max(x, 0); saves y. Keeps NaN and the sign of zero.
struct Relu {
  template <class V>
  static V forward(V x, V) {
    return max(constant<V>(0), x);
  }
  template <class V>
  static V backward(V y, V dy, V) {
    return select(y <= constant<V>(0), constant<V>(0), dy);
  }
};

// x, or p x where x <= 0; saves y (x where p < 0).
struct LeakyRelu {
  template <class V>
  static V forward(V x, V p) {
    return select(x > constant<V>(0), x, x * p);
  }
  template <class V>
  static V backward(V saved, V dy, V p) {
    return select(saved > constant<V>(0), dy, dy * p);
  }
};

// x, or p (e^x - 1) where x <= 0; p >= 0; saves y.
struct Elu {
  template <class V>
  static V forward(V x, V p) {
    return select(x > constant<V>(0), x, p * expm1(x));
  }
  template <class V>
  static V backward(V y, V dy, V p) {
    return select(y > constant<V>(0), dy, dy * (y + p));
  }
};

// 2 / sqrt(pi) times the integral of e^-t^2 from 0 to x; saves x.
struct Erf {
  template <class V>
  static V forward(V x, V) {
    return erf(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy * (constant<V>(1.1283791670955126) * exp(-x * x));
  }
};

// 1 - erf(x), with all digits where it is near 0; saves x.
struct Erfc {
  template <class V>
  static V forward(V x, V) {
    return erfc(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy * (constant<V>(-1.1283791670955126) * exp(-x * x));
  }
};

// e^x; saves y.
struct Exp {
  template <class V>
  static V forward(V x, V) {
    return exp(x);
  }
  template <class V>
  static V backward(V y, V dy, V) {
    return dy * y;
  }
};

// Logarithms, to the base e, of 1 + x, to the bases 2 and 10; save x. -inf at 0, NaN below.
struct Log {
  template <class V>
  static V forward(V x, V) {
    return log(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy / x;
  }
};

struct Log1p {
  template <class V>
  static V forward(V x, V) {
    return log1p(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy / (constant<V>(1) + x);
  }
};

struct Log2 {
  template <class V>
  static V forward(V x, V) {
    return log2(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy / (x * constant<V>(0.6931471805599453));
  }
};

struct Log10 {
  template <class V>
  static V forward(V x, V) {
    return log10(x);
  }
  template <class V>
  static V backward(V x, V dy, V) {
    return dy / (x * constant<V>(2.302585092994046));
  }
};

// 1 / (1 + e^-x); saves y.
struct Sigmoid {
  template <class V>
  static V forward(V x, V) {
    return sigmoid(x);
  }
  template <class V>
  static V backward(V y, V dy, V) {
    return dy * ((constant<V>(1) - y) * y);
  }
};

// tanh(x); saves y.
struct Tanh {
  template <class V>
  static V forward(V x, V) {
    return tanh(x);
  }
  template <class V>
  static V backward(V y, V dy, V) {
    return dy * ((constant<V>(1) - y) * (constant<V>(1) + y));
  }
};

// log(1 + e^(p x)) / p; saves y, from which the slope sigmoid(p x) is 1 - e^(-p y).
struct Softplus {
  template <class V>
  static V forward(V x, V p) {
    V z = p * x;
    return (max(constant<V>(0), z) + log1p_unit(exp(-abs(z)))) * (constant<V>(1) / p);
  }
  template <class V>
  static V backward(V y, V dy, V p) {
    return -dy * expm1(-(p * y));
  }
};

// x Phi(x), Phi the normal distribution's; saves x.
struct Gelu {
  template <class V>
  static V forward(V x, V) {
    return x * normal(x).cdf;
  }
  template <class V>
  static V backward(V x, V dy, V) {
    Normal<V> n = normal(x);
    return dy * fma(x, n.density, n.cdf);
  }
};

// x (1 + tanh(u)) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3); saves x.
struct GeluTanh {
  template <class V>
  static V forward(V x, V) {
    return x * sigmoid(twice_u(x));
  }
  template <class V>
  static V backward(V x, V dy, V) {
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
  static V forward(V x, V) {
    return x / (constant<V>(1) + exp(-x));
  }
  template <class V>
  static V backward(V x, V dy, V) {
    V s = sigmoid(x);
    return dy * (s * fma(x, constant<V>(1) - s, constant<V>(1)));
  }
};

template <class F, class T>
void forward(const T* x, T* y, ptrdiff_t n, T parameter) {
  constexpr int lanes = Vec<T>::lanes;
  const Vec<T> p = broadcast(parameter);
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) store(y + i, F::forward(load(x + i), p));
  if (i >= n) return;
  const Mask<T> tail = first<T>(int(n - i));
  store(y + i, F::forward(load(x + i, tail), p), tail);
}

template <class F, class T>
void backward(const T* saved, const T* dy, T* dx, ptrdiff_t n, T parameter) {
  constexpr int lanes = Vec<T>::lanes;
  const Vec<T> p = broadcast(parameter);
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) store(dx + i, F::backward(load(saved + i), load(dy + i), p));
  if (i >= n) return;
  const Mask<T> tail = first<T>(int(n - i));
  store(dx + i, F::backward(load(saved + i, tail), load(dy + i, tail), p), tail);
}

}  // namespace
}  // namespace striate

// What a row is, for the ISA files.
#define DEFINE_forward(name, T, F) \
  void name(const T* x, T* y, ptrdiff_t n, T parameter) { forward<F>(x, y, n, parameter); }
#define DEFINE_backward(name, T, F)                                         \
  void name(const T* saved, const T* dy, T* dx, ptrdiff_t n, T parameter) { \
    backward<F>(saved, dy, dx, n, parameter);                               \
  }
