// SPDX-License-Identifier: Apache-2.0
// The equations are in loss.h. A row is passed over for its maximum, for its exponentials (which
// are kept in dx) and their sum, and for the gradient; from the second on it is in cache, so the
// bound is one stream in and one out for rows that fit L2, and the exponential below that.
#include "ops/loss/loss.h"
#include "ops/softmax/row.inl"

namespace striate {
namespace {

// dx[i] = dx[i] * factor - a(i), where dx holds exponentials.
template <class T, class F>
void finish_gradient(T* dx, ptrdiff_t n, T factor, F a) {
  const Vec<T> f = broadcast(factor);
  for (ptrdiff_t i = 0; i < n; i += Vec<T>::lanes) {
    ptrdiff_t left = n - i;
    store_first(dx + i, fma(load_filled(dx + i, left, T(0)), f, -a(i, left)), left);
  }
}

// The sum over i of a(i) * (x[i] - shift).
template <class T, class F>
T weighted_distance(const T* x, ptrdiff_t n, T shift, F a) {
  const Vec<T> s = broadcast(shift);
  Vec<T> total = broadcast(T(0));
  for (ptrdiff_t i = 0; i < n; i += Vec<T>::lanes) {
    ptrdiff_t left = n - i;
    total = fma(a(i, left), load_filled(x + i, left, shift) - s, total);
  }
  return sum(total);
}

template <class T>
void cross_entropy_labels(const CrossEntropyRows<T>& args) {
  const ptrdiff_t n = args.classes;
  const T each = args.smoothing / T(n);
  const T* weight = args.weight;
  // The part of a[c] that smoothing gives to every class.
  auto smooth = [=](ptrdiff_t i, ptrdiff_t left) {
    Vec<T> e = broadcast(each);
    return weight ? load_filled(weight + i, left, T(0)) * e : e;
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
    T loss = own * (log_sum - (x[label] - largest));
    T total = own;
    if (each != 0) {
      total += each * args.weight_sum;
      loss += each * args.weight_sum * log_sum - weighted_distance(x, n, largest, smooth);
    }
    args.loss[r] = loss;
    if (!dx) continue;
    const T factor = args.scale * total / exp_sum;
    const Vec<T> scale = broadcast(args.scale);
    if (each != 0)
      finish_gradient(dx, n, factor,
                      [&](ptrdiff_t i, ptrdiff_t left) { return smooth(i, left) * scale; });
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
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T *x = args.x + r * args.x_row, *target = args.target + r * args.target_row;
    T* dx = args.dx ? args.dx + r * args.dx_row : nullptr;
    auto a = [&](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> t = fma(load_filled(target + i, left, T(0)), keep, each);
      return args.weight ? t * load_filled(args.weight + i, left, T(0)) : t;
    };
    const T largest = row_max(x, n), exp_sum = row_exp_sum(x, n, largest, dx);
    const T log_sum = log_of(exp_sum);
    Vec<T> total = broadcast(T(0));
    for (ptrdiff_t i = 0; i < n; i += Vec<T>::lanes) {
      ptrdiff_t left = n - i;
      Vec<T> some = a(i, left);
      total = total +
              (left < Vec<T>::lanes ? select(first<T>(int(left)), some, broadcast(T(0))) : some);
    }
    const T sum_a = sum(total);
    args.loss[r] = sum_a * log_sum - weighted_distance(x, n, largest, a);
    if (!dx) continue;
    finish_gradient(dx, n, args.scale * sum_a / exp_sum,
                    [&](ptrdiff_t i, ptrdiff_t left) { return a(i, left) * scale; });
  }
}

}  // namespace
}  // namespace striate
