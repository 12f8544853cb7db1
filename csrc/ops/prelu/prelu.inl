// SPDX-License-Identifier: Apache-2.0
// Bound: memory (two streams forward, four backward; slopes stay in a register or in L1).
#include "ops/prelu/prelu.h"

namespace striate {
namespace {

template <bool Repeat, class T>
void forward(const T* x, const T* w, T* y, ptrdiff_t n) {
  constexpr int lanes = Vec<T>::lanes;
  const Vec<T> zero = broadcast(T(0));
  Vec<T> slope = broadcast(*w);
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if (!Repeat) slope = load(w + i);
    Vec<T> a = load(x + i);
    store(y + i, select(a > zero, a, slope * a));
  }
  if (i == n) return;
  const Mask<T> tail = first<T>(int(n - i));
  if (!Repeat) slope = load(w + i, tail);
  Vec<T> a = load(x + i, tail);
  store(y + i, select(a > zero, a, slope * a), tail);
}

template <bool Repeat, class T>
void backward(const T* x, const T* w, const T* dy, T* dx, T* dw, ptrdiff_t n) {
  constexpr int lanes = Vec<T>::lanes;
  const Vec<T> zero = broadcast(T(0));
  Vec<T> slope = broadcast(*w);
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if (!Repeat) slope = load(w + i);
    Vec<T> a = load(x + i), grad = load(dy + i);
    store(dx + i, select(a > zero, grad, slope * grad));
    store(dw + i, select(a > zero, zero, a * grad));
  }
  if (i == n) return;
  const Mask<T> tail = first<T>(int(n - i));
  if (!Repeat) slope = load(w + i, tail);
  Vec<T> a = load(x + i, tail), grad = load(dy + i, tail);
  store(dx + i, select(a > zero, grad, slope * grad), tail);
  store(dw + i, select(a > zero, zero, a * grad), tail);
}

}  // namespace
}  // namespace striate

// What a row is, for the ISA files.
#define DEFINE_forward(name, T)                                                 \
  void name(const T* x, const T* w, ptrdiff_t w_step, T* y, ptrdiff_t n) {      \
    if (n > 0) w_step ? forward<false>(x, w, y, n) : forward<true>(x, w, y, n); \
  }
#define DEFINE_backward(name, T)                                                                \
  void name(const T* x, const T* w, ptrdiff_t w_step, const T* dy, T* dx, T* dw, ptrdiff_t n) { \
    if (n > 0)                                                                                  \
      w_step ? backward<false>(x, w, dy, dx, dw, n) : backward<true>(x, w, dy, dx, dw, n);      \
  }
