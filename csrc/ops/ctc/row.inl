// SPDX-License-Identifier: Apache-2.0
// The equations are in ctc.h. Bound: three exponentials and a logarithm a vector, some 80
// instructions, independent from one vector to the next; a row is in L1.
#include "ops/ctc/ctc.h"
#include "simd/row.h"

namespace striate {
namespace {

// log(e^a + e^b + e^c). -inf where all are: the largest is taken as finite, so that no inf - inf
// arises.
template <class T>
Vec<T> log_sum_exp(Vec<T> a, Vec<T> b, Vec<T> c) {
  const Vec<T> lowest =
      broadcast(T(sizeof(T) == 4 ? -3.4028234663852886e38 : -1.7976931348623157e308));
  const Vec<T> m = max(max(max(a, b), c), lowest);
  return m + log(exp(a - m) + exp(b - m) + exp(c - m));
}

template <class T>
void ctc_forward(const CtcRow<T>& row) {
  const T lowest = T(-HUGE_VAL);
  row_each<T>(0, row.n, [=](ptrdiff_t s, ptrdiff_t left) {
    Vec<T> stay = load_filled(row.from + s, left, lowest);
    Vec<T> next = load_filled(row.from + s - 1, left, lowest);
    Vec<T> over = load_filled(row.from + s - 2, left, lowest);
    over = over + load_filled(row.skip + s, left, lowest);
    Vec<T> p = load_filled(row.p + s, left, lowest);
    store_first(row.to + s, p + log_sum_exp(stay, next, over), left);
  });
}

template <class T>
void ctc_backward(const CtcRow<T>& row) {
  const T lowest = T(-HUGE_VAL);
  const Vec<T> log_z = broadcast(row.log_z);
  row_each<T>(0, row.n, [=](ptrdiff_t s, ptrdiff_t left) {
    Vec<T> stay = load_filled(row.from + s, left, lowest);
    Vec<T> next = load_filled(row.from + s + 1, left, lowest);
    Vec<T> over = load_filled(row.from + s + 2, left, lowest);
    over = over + load_filled(row.skip + s + 2, left, lowest);
    Vec<T> beta = log_sum_exp(stay, next, over);
    Vec<T> alpha = load_filled(row.alpha + s, left, lowest);
    store_first(row.gamma + s, exp(alpha + beta - log_z), left);
    store_first(row.to + s, load_filled(row.p + s, left, lowest) + beta, left);
  });
}

}  // namespace
}  // namespace striate
