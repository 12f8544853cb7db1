// SPDX-License-Identifier: Apache-2.0
// The loop of every SGD kernel: p, grad and b are read once, p and b written once.
// Bound: memory (plain: 2 streams in, 1 out; with b: 3 in, 2 out), so one vector at a time is
// enough for the hardware to overlap.
#include "ops/sgd/sgd.h"

namespace striate {
namespace {

template <class T>
struct SgdConstants {
  Vec<T> minus_lr, momentum, damping, weight_decay, sign;

  explicit SgdConstants(const SgdFactors& f)
      : minus_lr(broadcast(T(-f.lr))),
        momentum(broadcast(T(f.momentum))),
        damping(broadcast(T(f.damping))),
        weight_decay(broadcast(T(f.weight_decay))),
        sign(broadcast(T(f.sign))) {}
};

// The new p; b becomes the new momentum. Without decay p stays out of g, so that an infinite p
// doesn't become NaN.
template <SgdRule kRule, bool kDecay, class T>
Vec<T> sgd_update(Vec<T> p, Vec<T> grad, Vec<T>& b, const SgdConstants<T>& c) {
  Vec<T> g = c.sign * grad;
  if (kDecay) g = fma(c.weight_decay, p, g);
  if (kRule == SgdRule::plain) return fma(c.minus_lr, g, p);
  b = fma(c.momentum, b, c.damping * g);
  if (kRule == SgdRule::momentum) return fma(c.minus_lr, b, p);
  return fma(c.minus_lr, fma(c.momentum, b, g), p);
}

template <SgdRule kRule, bool kDecay, class T>
void sgd_dense(T* p, const T* grad, T* b, ptrdiff_t n, const SgdConstants<T>& c) {
  constexpr bool kBuffer = kRule != SgdRule::plain;
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> held = broadcast(T(0));
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    if (kBuffer) held = load(b + i);
    store(p + i, sgd_update<kRule, kDecay>(load(p + i), load(grad + i), held, c));
    if (kBuffer) store(b + i, held);
  }
  if (i == n) return;
  const Mask<T> tail = first<T>(int(n - i));
  if (kBuffer) held = load(b + i, tail);
  store(p + i, sgd_update<kRule, kDecay>(load(p + i, tail), load(grad + i, tail), held, c), tail);
  if (kBuffer) store(b + i, held, tail);
}

template <SgdRule kRule, bool kDecay, class T>
void sgd_strided(T* p, ptrdiff_t p_step, const T* grad, ptrdiff_t grad_step, T* b, ptrdiff_t b_step,
                 ptrdiff_t n, const SgdConstants<T>& c) {
  for (ptrdiff_t i = 0; i < n; ++i)
    sgd_dense<kRule, kDecay>(p + i * p_step, grad + i * grad_step,
                             kRule == SgdRule::plain ? b : b + i * b_step, 1, c);
}

template <SgdRule kRule, class T>
void sgd_loop(T* p, ptrdiff_t p_step, const T* grad, ptrdiff_t grad_step, T* b, ptrdiff_t b_step,
              ptrdiff_t n, const SgdFactors& factors) {
  const SgdConstants<T> c(factors);
  const bool dense = p_step == 1 && grad_step == 1 && (b_step == 1 || kRule == SgdRule::plain);
  if (factors.weight_decay != 0) {
    if (dense) return sgd_dense<kRule, true>(p, grad, b, n, c);
    return sgd_strided<kRule, true>(p, p_step, grad, grad_step, b, b_step, n, c);
  }
  if (dense) return sgd_dense<kRule, false>(p, grad, b, n, c);
  sgd_strided<kRule, false>(p, p_step, grad, grad_step, b, b_step, n, c);
}

}  // namespace
}  // namespace striate
