// SPDX-License-Identifier: Apache-2.0
// The loop of every binary kernel. Bound: memory (three streams), so one vector at a time is enough
// for the hardware to overlap; an operand of step 0 is held in a register.
#include "ops/elementwise/elementwise.h"
#include "simd/write.h"
//
#include "ops/elementwise/functions.inl"

namespace striate {
namespace {

template <class Op, bool RepeatA, bool RepeatB, class T>
void dense(const T* a, const T* b, T* out, ptrdiff_t n) {
  const Vec<T> every_a = broadcast(*a), every_b = broadcast(*b);
  const bool past = a != out && b != out && past_caches(out, n);
  write_run(
      out, n, past,
      [=](ptrdiff_t i, auto... on) {
        Vec<T> x = RepeatA ? every_a : load(a + i, on...);
        Vec<T> y = RepeatB ? every_b : load(b + i, on...);
        return Op::apply(x, y);
      },
      RepeatA ? b : a, RepeatB ? a : b);
  if (past) drain();
}

template <class Op, class T>
void binary_loop(const T* a, ptrdiff_t a_step, const T* b, ptrdiff_t b_step, T* out,
                 ptrdiff_t out_step, ptrdiff_t n) {
  if (n <= 0) return;
  if (out_step == 1 && a_step == 1 && b_step == 1) return dense<Op, false, false>(a, b, out, n);
  if (out_step == 1 && a_step == 1 && b_step == 0) return dense<Op, false, true>(a, b, out, n);
  if (out_step == 1 && a_step == 0 && b_step == 1) return dense<Op, true, false>(a, b, out, n);
  const Mask<T> one = first<T>(1);
  for (ptrdiff_t i = 0; i < n; ++i)
    store(out + i * out_step, Op::apply(load(a + i * a_step, one), load(b + i * b_step, one)), one);
}

}  // namespace
}  // namespace striate
