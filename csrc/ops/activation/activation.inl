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
