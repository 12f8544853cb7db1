// SPDX-License-Identifier: Apache-2.0
// The equations are in layer_norm.h.
//
// The variance takes two passes, over differences from a mean that is itself summed as differences
// from the row's first element: neither a large mean nor a long row costs digits. A row is passed
// over three times (backward twice), from the second on in cache. Bound: one stream in and one out
// (backward two in, one out) for rows that fit L2, below that 3 loads an element; an estimate of
// 1 cycle an element and vector of 8 in AVX2, half of it in AVX-512.
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

template <class T>
T row_mean(const T* x, ptrdiff_t n) {
  const Vec<T> base = broadcast(x[0]);
  T total = row_total<T>(n, [=](ptrdiff_t i, ptrdiff_t left) {
    return only(load_filled(x + i, left, T(0)) - base, left);
  });
  return x[0] + total / T(n);
}

template <bool kCentred, class T>
void normalise(const LayerNormArgs<T>& a) {
  for (ptrdiff_t r = 0; r < a.rows; ++r) {
    const T* x = a.x + r * a.n;
    T* y = a.y + r * a.n;
    const T centre = kCentred ? row_mean(x, a.n) : T(0);
    const Vec<T> mean = broadcast(centre);
    T squares = row_total<T>(a.n, [=](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> off = only(load_filled(x + i, left, T(0)) - mean, left);
      return off * off;
    });
    a.invstd[r] = T(1) / root(squares / T(a.n) + a.eps);
    if (kCentred) a.mean[r] = centre;
    const Vec<T> scale = broadcast(a.invstd[r]);
    row_each<T>(0, a.n, [&](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> unit = (load_filled(x + i, left, T(0)) - mean) * scale;
      Vec<T> weight = load_or(a.weight, i, left, T(1));
      store_first(y + i, a.bias ? fma(unit, weight, load_or(a.bias, i, left, T(0))) : unit * weight,
                  left);
    });
  }
}

// The sums of g and of g x^ over a row.
template <class T>
struct RowSums {
  T g, gx;
};

template <bool kCentred, class T>
RowSums<T> sums(const LayerNormArgs<T>& a, const T* x, const T* dy, Vec<T> mean, Vec<T> scale) {
  constexpr ptrdiff_t kBlock = 64 * Vec<T>::lanes;
  Vec<T> g_total = broadcast(T(0)), gx_total = g_total;
  for (ptrdiff_t begin = 0; begin < a.n; begin += kBlock) {
    Vec<T> g_part = broadcast(T(0)), gx_part = g_part;
    row_each<T>(begin, begin + kBlock < a.n ? begin + kBlock : a.n,
                [&](ptrdiff_t i, ptrdiff_t left) {
                  Vec<T> g = load_filled(dy + i, left, T(0)) * load_or(a.weight, i, left, T(1));
                  Vec<T> unit = only((load_filled(x + i, left, T(0)) - mean) * scale, left);
                  if (kCentred) g_part = g_part + g;
                  gx_part = fma(g, unit, gx_part);
                });
    g_total = g_total + g_part;
    gx_total = gx_total + gx_part;
  }
  return {sum(g_total), sum(gx_total)};
}

template <class T>
void add_to(T* p, ptrdiff_t i, ptrdiff_t left, Vec<T> x) {
  if (p) store_first(p + i, load_filled(p + i, left, T(0)) + x, left);
}

template <bool kCentred, class T>
void normalise_backward(const LayerNormArgs<T>& a) {
  for (ptrdiff_t r = 0; r < a.rows; ++r) {
    const T *x = a.x + r * a.n, *dy = a.dy + r * a.n;
    T* dx = a.y + r * a.n;
    const Vec<T> mean = broadcast(kCentred ? a.mean[r] : T(0)), scale = broadcast(a.invstd[r]);
    const RowSums<T> total = sums<kCentred>(a, x, dy, mean, scale);
    const Vec<T> g_mean = broadcast(total.g / T(a.n)), gx_mean = broadcast(total.gx / T(a.n));
    row_each<T>(0, a.n, [&](ptrdiff_t i, ptrdiff_t left) {
      Vec<T> d = load_filled(dy + i, left, T(0));
      Vec<T> unit = (load_filled(x + i, left, T(0)) - mean) * scale;
      Vec<T> g = d * load_or(a.weight, i, left, T(1));
      if (kCentred) g = g - g_mean;
      store_first(dx + i, scale * fma(-unit, gx_mean, g), left);
      add_to(a.dweight, i, left, d * unit);
      add_to(a.dbias, i, left, d);
    });
  }
}

}  // namespace
}  // namespace striate
