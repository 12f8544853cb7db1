// SPDX-License-Identifier: Apache-2.0
// Losses element by element, value and slope in one pass. Bound: memory, two streams in and one
// out: 12 bytes a float32 element. Of the binary cross entropy, the exponential, log(1 + x) and two
// quotients: some 50 instructions a vector, which for 16 lanes is still below what memory gives.
#include "ops/loss/loss.h"
#include "simd/row.h"
//
#include "ops/loss/functions.inl"

namespace striate {
namespace {

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
