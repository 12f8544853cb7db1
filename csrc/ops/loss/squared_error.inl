// SPDX-License-Identifier: Apache-2.0
// The equations are in loss.h. Bound: memory (two streams in, one out).
#include "ops/loss/loss.h"
#include "simd/row.h"

namespace striate {
namespace {

template <class T>
T squared_error(const T* x, const T* target, ptrdiff_t n, T scale, T* dx) {
  const Vec<T> s = broadcast(scale);
  return row_total<T>(n, [=](ptrdiff_t i, ptrdiff_t left) {
    Vec<T> d = load_filled(x + i, left, T(0)) - load_filled(target + i, left, T(0));
    if (dx) store_first(dx + i, d * s, left);
    return d * d;
  });
}

}  // namespace
}  // namespace striate
