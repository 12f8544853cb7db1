// SPDX-License-Identifier: Apache-2.0
// The equations are in loss.h. A row is passed over for its maximum, for its exponentials (which
// are kept in dx) and their sum, and for the gradient; from the second on it is in cache, so the
// bound is one stream in and one out for rows that fit L2, and the exponential below that. The loss
// is
//   sum over c of a[c] (log S - (x[c] - m))      m = max x,  S = sum exp(x - m)
// so that a large m costs no digits.
#include "ops/loss/loss.h"
#include "simd/row.h"

namespace striate {
namespace {

// dx[i] = dx[i] * factor - a(i), where dx holds exponentials.
template <class T, class F>
void finish_gradient(T* dx, ptrdiff_t n, T factor, F a) {
  const Vec<T> f = broadcast(factor);
  row_each<T>(0, n, [=](ptrdiff_t i, ptrdiff_t left) {
    store_first(dx + i, fma(load_filled(dx + i, left, T(0)), f, -a(i, left)), left);
  });
}

// The sum over i of a(i) (x[i] - shift).
template <class T, class F>
T weighted_distance(const T* x, ptrdiff_t n, T shift, F a) {
  const Vec<T> s = broadcast(shift);
  return row_total<T>(n, [=](ptrdiff_t i, ptrdiff_t left) {
    return a(i, left) * (load_filled(x + i, left, shift) - s);
  });
}

template <class T>
void cross_entropy_labels(const CrossEntropyRows<T>& args) {
  const ptrdiff_t n = args.classes;
  const T each = args.smoothing / T(n);
  const Vec<T> scale = broadcast(args.scale), every = broadcast(each);
  const T* weight = args.weight;
  // The part of a that smoothing gives to every class.
  auto smooth = [=](ptrdiff_t i, ptrdiff_t left) {
    return weight ? load_filled(weight + i, left, T(0)) * every : every;
  };
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T* x = args.x + r * args.x_row;
    T* dx = args.dx ? args.dx + r * args.dx_row : nullptr;
    const int64_t label = args.labels[r];
    if (label == args.ignored) {
      args.loss[r] = 0;
      for (ptrdiff_t i = 0; dx && i < n; ++i) dx[i] = 0;
      continue;
    }
    const T largest = row_max(x, n), exp_sum = row_exp_sum(x, n, largest, dx);
    const T log_sum = log_of(exp_sum);
    const T own = (T(1) - args.smoothing) * (weight ? weight[label] : T(1));
    T sum_a = own, distance = own * (x[label] - largest);
    if (each != 0) {
      sum_a += each * args.weight_sum;
      distance += weighted_distance(x, n, largest, smooth);
    }
    args.loss[r] = sum_a * log_sum - distance;
    if (!dx) continue;
    const T factor = args.scale * sum_a / exp_sum;
    if (each != 0)
      finish_gradient(dx, n, factor,
                      [=](ptrdiff_t i, ptrdiff_t left) { return smooth(i, left) * scale; });
    else
      finish_gradient(dx, n, factor, [](ptrdiff_t, ptrdiff_t) { return broadcast(T(0)); });
    dx[label] -= args.scale * own;
  }
}

template <class T>
void cross_entropy_probabilities(const CrossEntropyRows<T>& args) {
  const ptrdiff_t n = args.classes;
  const Vec<T> keep = broadcast(T(1) - args.smoothing), each = broadcast(args.smoothing / T(n));
  const Vec<T> scale = broadcast(args.scale);
  const T* weight = args.weight;
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T *x = args.x + r * args.x_row, *target = args.target + r * args.target_row;
    T* dx = args.dx ? args.dx + r * args.dx_row : nullptr;
    auto a = [=](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> t = only(fma(load_filled(target + i, left, T(0)), keep, each), left);
      return weight ? t * load_filled(weight + i, left, T(0)) : t;
    };
    const T largest = row_max(x, n), exp_sum = row_exp_sum(x, n, largest, dx);
    const T sum_a = row_total<T>(n, a);
    args.loss[r] = sum_a * log_of(exp_sum) - weighted_distance(x, n, largest, a);
    if (!dx) continue;
    finish_gradient(dx, n, args.scale * sum_a / exp_sum,
                    [=](ptrdiff_t i, ptrdiff_t left) { return a(i, left) * scale; });
  }
}

}  // namespace
}  // namespace striate
