// SPDX-License-Identifier: Apache-2.0
// The equations are in softmax.h. A row is passed over for its maximum, for its exponentials and
// their sum, and to scale them; from the second on it is in cache, so the bound is one stream in
// and one out for rows that fit L2, and the exponential below that.
#include "ops/softmax/softmax.h"
#include "simd/row.h"

namespace striate {
namespace {

// y[i] = f(a[i], b[i])
template <class T, class F>
void row_map(const T* a, const T* b, T* y, ptrdiff_t n, F f) {
  row_each<T>(0, n, [=](ptrdiff_t i, ptrdiff_t left) {
    store_first(y + i, f(load_filled(a + i, left, T(0)), load_filled(b + i, left, T(0))), left);
  });
}

template <class T>
void softmax(const SoftmaxRows<T>& args) {
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T* x = args.x + r * args.x_row;
    T* y = args.out + r * args.out_row;
    T total = row_exp_sum(x, args.n, row_max(x, args.n), y);
    const Vec<T> scale = broadcast(T(1) / total);
    row_map(y, y, y, args.n, [=](Vec<T> e, Vec<T>) { return e * scale; });
  }
}

template <class T>
void log_softmax(const SoftmaxRows<T>& args) {
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T* x = args.x + r * args.x_row;
    T* y = args.out + r * args.out_row;
    T largest = row_max(x, args.n), total = row_exp_sum<T>(x, args.n, largest, nullptr);
    const Vec<T> m = broadcast(largest), log_total = broadcast(log_of(total));
    row_map(x, x, y, args.n, [=](Vec<T> v, Vec<T>) { return (v - m) - log_total; });
  }
}

template <class T>
void softmax_backward(const SoftmaxRows<T>& args) {
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T *y = args.x + r * args.x_row, *dy = args.dy + r * args.dy_row;
    const Vec<T> total =
        broadcast(row_sum(y, dy, args.n, [](Vec<T> p, Vec<T> g) { return p * g; }));
    row_map(y, dy, args.out + r * args.out_row, args.n,
            [=](Vec<T> p, Vec<T> g) { return p * (g - total); });
  }
}

template <class T>
void log_softmax_backward(const SoftmaxRows<T>& args) {
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T *y = args.x + r * args.x_row, *dy = args.dy + r * args.dy_row;
    const Vec<T> total = broadcast(row_sum(dy, dy, args.n, [](Vec<T> g, Vec<T>) { return g; }));
    row_map(y, dy, args.out + r * args.out_row, args.n,
            [=](Vec<T> l, Vec<T> g) { return fma(-exp(l), total, g); });
  }
}

}  // namespace
}  // namespace striate
