// SPDX-License-Identifier: Apache-2.0
// The two loops that apply activations; functions.inl has these.
//
// Bound: memory for the cheap ones; for those with an exponential about 20 instructions a vector,
// independent from one vector to the next, which the hardware overlaps. Any alignment; tails are
// masked.
#include "ops/activation/activation.h"
#include "simd/math.h"
#include "simd/write.h"
//
#include "ops/activation/functions.inl"

namespace striate {
namespace {

template <class F, class T>
void forward(const T* x, T* y, ptrdiff_t n, Parameters<T> parameter) {
  const Pair<Vec<T>> p{broadcast(parameter.a), broadcast(parameter.b)};
  const bool past = x != y && past_caches(y, n);
  write_run(
      y, n, past, [=](ptrdiff_t i, auto... on) { return F::forward(load(x + i, on...), p); }, x);
  if (past) drain();
}

template <class F, class T>
void backward(const T* saved, const T* dy, T* dx, ptrdiff_t n, Parameters<T> parameter) {
  const Pair<Vec<T>> p{broadcast(parameter.a), broadcast(parameter.b)};
  const bool past = saved != dx && dy != dx && past_caches(dx, n);
  write_run(
      dx, n, past,
      [=](ptrdiff_t i, auto... on) {
        return F::backward(load(saved + i, on...), load(dy + i, on...), p);
      },
      saved, dy);
  if (past) drain();
}

}  // namespace
}  // namespace striate

// What a row is, for the ISA files.
#define DEFINE_forward(name, T, F)                                    \
  void name(const T* x, T* y, ptrdiff_t n, Parameters<T> parameter) { \
    forward<F>(x, y, n, parameter);                                   \
  }
#define DEFINE_backward(name, T, F)                                                     \
  void name(const T* saved, const T* dy, T* dx, ptrdiff_t n, Parameters<T> parameter) { \
    backward<F>(saved, dy, dx, n, parameter);                                           \
  }
