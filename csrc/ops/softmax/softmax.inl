// SPDX-License-Identifier: Apache-2.0
// The equations are in softmax.h. Bound: one stream in and one out where memory is far, the
// exponential (14 operations a vector, 7 cycles) where it is near.
//
// Rows go in groups of 8 KiB, pass by pass: maxima, exponentials and their sums, results. From the
// second pass on a group is in L1, the ends of rows (sums over lanes, quotients, logarithms)
// overlap each other, and while one group's exponentials are computed the next is fetched. Rows of
// a vector at most never leave their register; longer ones than a group go in blocks with maxima of
// their own,
//   exp(x - m) = exp(x - m_b) exp(m_b - m)
//
// Emerald Rapids, rows one by one, exp of math.h, no prefetch: 1.4 times the time at 4096 x 1000
// and 12288 x 128. Groups of 16 and 32 KiB: 1.1 and 1.2 times that of 8. Gradients past the caches
// where they are large: 12288 x 1024 10.2 and 8.1 ms, 8192 x 1001 3.96 and 3.08; results past them,
// the exponentials waiting in 8 KiB of their own: 1.0 to 1.2 times the time, logarithms 1.6 to 1.9.
#include <cstdint>

#include "ops/softmax/softmax.h"
#include "simd/row.h"
#include "simd/write.h"

namespace striate {
namespace {

constexpr ptrdiff_t kGroupBytes = 8 << 10;
constexpr ptrdiff_t kGroupRows = 32;  // at most; a whole number of vectors
constexpr ptrdiff_t kBlocks = 64;     // of a long row, at most

// y[i] = f(a[i], b[i])
template <class T, class F>
void row_map(const T* a, const T* b, T* y, ptrdiff_t n, F f) {
  row_each<T>(0, n, [=](ptrdiff_t i, ptrdiff_t left) {
    store_first(y + i, f(load_filled(a + i, left, T(0)), load_filled(b + i, left, T(0))), left);
  });
}

// The same past the caches.
template <class T, class F>
void row_map_past(const T* a, const T* b, T* y, ptrdiff_t n, F f) {
  auto value = [=](ptrdiff_t i, auto... on) { return f(load(a + i, on...), load(b + i, on...)); };
  write_run(y, n, true, value, a, b);
}

// values[i] = f(values[i]) for i < n, n <= kGroupRows or kBlocks; the array is read in vectors.
template <class T, class F>
void each_value(T* values, ptrdiff_t n, F f) {
  for (ptrdiff_t i = 0; i < n; i += Vec<T>::lanes) store(values + i, f(load(values + i)));
}

template <class T, class F>
void for_groups(const SoftmaxRows<T>& args, F f) {
  ptrdiff_t size = kGroupBytes / ptrdiff_t(sizeof(T)) / (args.n > 0 ? args.n : 1);
  size = size < 1 ? 1 : size < kGroupRows ? size : kGroupRows;
  SoftmaxRows<T> group = args;
  for (ptrdiff_t r = 0; r < args.rows; r += size) {
    group.x = args.x + r * args.x_row, group.out = args.out + r * args.out_row;
    if (args.dy) group.dy = args.dy + r * args.dy_row;
    group.rows = args.rows - r < size ? args.rows - r : size;
    f(group, size);
  }
}

// finish(differences from the maximum, their exponentials, sum) of rows of a vector at most.
template <class T, class F>
void rows_in_registers(const SoftmaxRows<T>& args, F finish) {
  const Mask<T> on = first<T>(int(args.n));
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const Vec<T> x = select(on, load(args.x + r * args.x_row, on), broadcast(T(-HUGE_VAL)));
    const Vec<T> d = x - broadcast(largest(x)), e = exp_below(d);
    store(args.out + r * args.out_row, finish(d, e, broadcast(sum(e))), on);
  }
}

// Maxima and sums of exponentials of a long row, block by block; f(block, begin, elements) after.
// Blocks of -inf alone count from the lowest number, so that others may still make the row finite.
template <class T>
struct LongRow {
  static constexpr ptrdiff_t kLeast = kGroupBytes / sizeof(T);
  ptrdiff_t n, size, blocks;
  T largest, total;
  T share[kBlocks];  // exp(m_b - m)

  LongRow(const T* x, ptrdiff_t length, T* y) : n(length) {
    size = (n + kBlocks - 1) / kBlocks;
    size = size < kLeast ? kLeast : (size + Vec<T>::lanes - 1) / Vec<T>::lanes * Vec<T>::lanes;
    blocks = (n + size - 1) / size;
    T sums[kBlocks];
    const T lowest = sizeof(T) == 4 ? T(-__FLT_MAX__) : T(-__DBL_MAX__);
    largest = lowest;
    each([&](ptrdiff_t b, ptrdiff_t i, ptrdiff_t count) {
      const T top = row_max(x + i, count);
      share[b] = top > lowest ? top : lowest;
      if (share[b] > largest) largest = share[b];
      T* out = y ? y + i : nullptr;
      const T* next = x + i;
      sums[b] = row_exp_sum(next, count, share[b], out, [=](ptrdiff_t at) {
        fetch(next + at, kLeast);
        if (out) fetch(out + at, kLeast);
      });
    });
    for (ptrdiff_t b = blocks; b < kBlocks; ++b) share[b] = lowest;
    each_value(share, blocks, [m = broadcast(largest)](Vec<T> top) { return exp_below(top - m); });
    total = 0;
    for (ptrdiff_t b = 0; b < blocks; ++b) total += sums[b] * share[b];
  }
  template <class F>
  void each(F f) const {
    for (ptrdiff_t b = 0; b < blocks; ++b)
      f(b, b * size, n - b * size < size ? n - b * size : size);
  }
};

// The maxima of a group's rows, and the sums of exponentials, which are kept in out if `keep`.
template <class T>
void group_sums(const SoftmaxRows<T>& g, ptrdiff_t size, bool keep, T* largest, T* total) {
  for (ptrdiff_t r = 0; r < g.rows; ++r) largest[r] = row_max(g.x + r * g.x_row, g.n);
  for (ptrdiff_t r = g.rows; r < kGroupRows; ++r) total[r] = T(1);
  const ptrdiff_t x_ahead = size * g.x_row, out_ahead = keep ? size * g.out_row : 0;
  for (ptrdiff_t r = 0; r < g.rows; ++r) {
    const T *x = g.x + r * g.x_row, *next = x;
    T* y = g.out + r * g.out_row;
    total[r] = row_exp_sum(x, g.n, largest[r], keep ? y : nullptr, [=](ptrdiff_t i) {
      fetch(next + i, x_ahead);
      fetch(y + i, out_ahead);
    });
  }
}

template <class T>
void softmax(const SoftmaxRows<T>& args) {
  if (args.n <= Vec<T>::lanes)
    return rows_in_registers(
        args, [](Vec<T>, Vec<T> e, Vec<T> total) { return e * (broadcast(T(1)) / total); });
  for_groups(args, [](const SoftmaxRows<T>& g, ptrdiff_t size) {
    if (g.n > LongRow<T>::kLeast) {
      const LongRow<T> row(g.x, g.n, g.out);
      row.each([&](ptrdiff_t b, ptrdiff_t i, ptrdiff_t count) {
        const Vec<T> scale = broadcast(row.share[b] / row.total);
        row_map(g.out + i, g.out + i, g.out + i, count,
                [=](Vec<T> e, Vec<T>) { return e * scale; });
      });
      return;
    }
    T largest[kGroupRows], scales[kGroupRows];
    group_sums(g, size, true, largest, scales);
    each_value(scales, g.rows, [](Vec<T> total) { return broadcast(T(1)) / total; });
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      T* y = g.out + r * g.out_row;
      row_map(y, y, y, g.n, [s = broadcast(scales[r])](Vec<T> e, Vec<T>) { return e * s; });
    }
  });
}

template <class T>
void log_softmax(const SoftmaxRows<T>& args) {
  if (args.n <= Vec<T>::lanes)
    return rows_in_registers(args, [](Vec<T> d, Vec<T>, Vec<T> total) { return d - log(total); });
  for_groups(args, [](const SoftmaxRows<T>& g, ptrdiff_t size) {
    T largest[kGroupRows], logs[kGroupRows];
    if (g.n > LongRow<T>::kLeast) {
      const LongRow<T> row(g.x, g.n, nullptr);
      largest[0] = row.largest, logs[0] = log_of(row.total);
    } else {
      group_sums(g, size, false, largest, logs);
      each_value(logs, g.rows, [](Vec<T> total) { return log(total); });
    }
    for (ptrdiff_t r = 0; r < g.rows; ++r) {
      const T* x = g.x + r * g.x_row;
      row_map(x, x, g.out + r * g.out_row, g.n,
              [m = broadcast(largest[r]), l = broadcast(logs[r])](Vec<T> v, Vec<T>) {
                return (v - m) - l;
              });
    }
  });
}

// The gradients, row by row: total = sum of value(y, dy), then out = result(y, dy, total).
template <class T, class Value, class Result>
void backward(const SoftmaxRows<T>& args, Value value, Result result) {
  // Short rows would share too many lines.
  const bool past =
      args.past_caches && args.n >= 16 * Vec<T>::lanes && uintptr_t(args.out) % sizeof(T) == 0;
  for (ptrdiff_t r = 0; r < args.rows; ++r) {
    const T *y = args.x + r * args.x_row, *dy = args.dy + r * args.dy_row;
    T* out = args.out + r * args.out_row;
    const Vec<T> total = broadcast(row_sum(y, dy, args.n, value));
    auto f = [=](Vec<T> p, Vec<T> g) { return result(p, g, total); };
    if (past)
      row_map_past(y, dy, out, args.n, f);
    else
      row_map(y, dy, out, args.n, f);
  }
  if (past) drain();
}

template <class T>
void softmax_backward(const SoftmaxRows<T>& args) {
  backward(
      args, [](Vec<T> y, Vec<T> dy) { return y * dy; },
      [](Vec<T> y, Vec<T> dy, Vec<T> total) { return y * (dy - total); });
}

template <class T>
void log_softmax_backward(const SoftmaxRows<T>& args) {
  backward(
      args, [](Vec<T>, Vec<T> dy) { return dy; },
      [](Vec<T> y, Vec<T> dy, Vec<T> total) { return fma(-exp_below(y), total, dy); });
}

}  // namespace
}  // namespace striate
