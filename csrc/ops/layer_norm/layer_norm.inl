// SPDX-License-Identifier: Apache-2.0
// The equations are in layer_norm.h.
//
// The variance takes two passes, over differences from a mean that is itself summed as differences
// from the row's first element: neither a large mean nor a long row costs digits. A row is passed
// over three times (backward twice), from the second on in cache. Bound for rows that fit L2 and
// matrices that don't: one stream in and one out (backward two in, one out). In cache: 5 loads and
// a store a vector forward, 10 loads and 3 stores backward, so 3 and 5 cycles at two loads a cycle:
// predicted, not measured.
#include "ops/layer_norm/layer_norm.h"
#include "simd/row.h"

namespace striate {
namespace {

inline float root(float x) { return ::sqrtf(x); }
inline double root(double x) { return ::sqrt(x); }

// p[i …], or a constant where there is no p.
template <class T>
Vec<T> load_or(const T* p, ptrdiff_t i, ptrdiff_t left, T otherwise) {
  return p ? load_filled(p + i, left, T(0)) : broadcast(otherwise);
}

// K sums over a row of n: f(i, left, sums) adds the vector at i to sums[K]. Four chains of
// additions at a time, which hide their latency; in blocks, so that long rows keep their digits.
template <int K, class T, class F>
void row_sums(ptrdiff_t n, T (&out)[K], F f) {
  constexpr int lanes = Vec<T>::lanes, kWays = 4 / K;
  constexpr ptrdiff_t kBlock = 64 * kWays * lanes;
  Vec<T> total[K];
  for (Vec<T>& v : total) v = broadcast(T(0));
  for (ptrdiff_t begin = 0; begin < n; begin += kBlock) {
    const ptrdiff_t end = begin + kBlock < n ? begin + kBlock : n;
    Vec<T> part[kWays][K];
    for (auto& way : part)
      for (Vec<T>& v : way) v = broadcast(T(0));
    ptrdiff_t i = begin;
    for (; i + kWays * lanes <= end; i += kWays * lanes)
#pragma GCC unroll 4
      for (int w = 0; w < kWays; ++w) f(i + w * lanes, ptrdiff_t(lanes), part[w]);
    row_each<T>(i, end, [&](ptrdiff_t at, ptrdiff_t left) { f(at, left, part[0]); });
    for (int w = 0; w < kWays; ++w)
      for (int k = 0; k < K; ++k) total[k] = total[k] + part[w][k];
  }
  for (int k = 0; k < K; ++k) out[k] = sum(total[k]);
}

template <class T>
T row_mean(const T* x, ptrdiff_t n) {
  const Vec<T> base = broadcast(x[0]);
  T total[1];
  row_sums(n, total, [=](ptrdiff_t i, ptrdiff_t left, Vec<T>* to) {
    *to = *to + only(load_filled(x + i, left, T(0)) - base, left);
  });
  return x[0] + total[0] / T(n);
}

template <bool kCentred, class T>
void normalise(const LayerNormArgs<T>& a) {
  const T *w = a.weight, *b = a.bias;
  for (ptrdiff_t r = 0; r < a.rows; ++r) {
    const T* x = a.x + r * a.n;
    T* y = a.y + r * a.n;
    const T centre = kCentred ? row_mean(x, a.n) : T(0);
    const Vec<T> mean = broadcast(centre);
    T squares[1];
    row_sums(a.n, squares, [=](ptrdiff_t i, ptrdiff_t left, Vec<T>* to) {
      Vec<T> off = only(load_filled(x + i, left, T(0)) - mean, left);
      *to = fma(off, off, *to);
    });
    const T invstd = T(1) / root(squares[0] / T(a.n) + a.eps);
    a.invstd[r] = invstd;
    if (kCentred) a.mean[r] = centre;
    const Vec<T> scale = broadcast(invstd);
    row_each<T>(0, a.n, [=](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> unit = (load_filled(x + i, left, T(0)) - mean) * scale;
      Vec<T> weight = load_or(w, i, left, T(1));
      Vec<T> result = b ? fma(unit, weight, load_filled(b + i, left, T(0))) : unit * weight;
      store_first(y + i, result, left);
    });
  }
}

template <class T>
void add_to(T* p, ptrdiff_t i, ptrdiff_t left, Vec<T> x) {
  if (p) store_first(p + i, load_filled(p + i, left, T(0)) + x, left);
}

// R rows side by side, which meet the sums over rows once.
template <bool kCentred, int R, class T>
void rows_backward(const LayerNormArgs<T>& a, ptrdiff_t row) {
  const T *w = a.weight, *x = a.x + row * a.n, *dy = a.dy + row * a.n;
  T *dx = a.y + row * a.n, *dweight = a.dweight, *dbias = a.dbias;
  Vec<T> mean[R], scale[R], g_mean[R], gx_mean[R];
  for (int r = 0; r < R; ++r) {
    const Vec<T> m = mean[r] = broadcast(kCentred ? a.mean[row + r] : T(0));
    const Vec<T> s = scale[r] = broadcast(a.invstd[row + r]);
    T total[2];  // of g, and of g x^
    row_sums(a.n, total,
             [=, x = x + r * a.n, dy = dy + r * a.n](ptrdiff_t i, ptrdiff_t left, Vec<T>* to) {
               Vec<T> g = load_filled(dy + i, left, T(0)) * load_or(w, i, left, T(1));
               Vec<T> unit = only((load_filled(x + i, left, T(0)) - m) * s, left);
               to[0] = to[0] + g;
               to[1] = fma(g, unit, to[1]);
             });
    g_mean[r] = broadcast(total[0] / T(a.n)), gx_mean[r] = broadcast(total[1] / T(a.n));
  }
  row_each<T>(0, a.n, [&, n = a.n](ptrdiff_t i, ptrdiff_t left) {
    const Vec<T> weight = load_or(w, i, left, T(1));
    Vec<T> products = broadcast(T(0)), total = broadcast(T(0));
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec<T> d = load_filled(dy + r * n + i, left, T(0));
      const Vec<T> unit = (load_filled(x + r * n + i, left, T(0)) - mean[r]) * scale[r];
      Vec<T> g = d * weight;
      if (kCentred) g = g - g_mean[r];
      store_first(dx + r * n + i, scale[r] * fma(-unit, gx_mean[r], g), left);
      products = fma(d, unit, products), total = total + d;
    }
    add_to(dweight, i, left, products);
    add_to(dbias, i, left, total);
  });
}

template <bool kCentred, class T>
void normalise_backward(const LayerNormArgs<T>& a) {
  ptrdiff_t r = 0;
  for (; r + 4 <= a.rows; r += 4) rows_backward<kCentred, 4>(a, r);
  for (; r < a.rows; ++r) rows_backward<kCentred, 1>(a, r);
}

}  // namespace
}  // namespace striate
