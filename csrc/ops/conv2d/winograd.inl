// SPDX-License-Identifier: Apache-2.0
// The transforms of winograd.h over the vectors of one ISA: channels are unit stride, so a lane is
// a channel and a transform is additions of whole vectors, once down the columns of a tile and once
// along its rows.
//
// Instructions a vector of channels, m = 4: input 12 x 16, output 10 x 12, besides 36 loads and 36
// or 16 stores. Bound: those, two a cycle; tiles overlap, so 36 loads serve 16 pixels.
#include "ops/conv2d/winograd.h"
#include "simd/row.h"

namespace striate {
namespace {

template <int M>
struct Winograd;

// B^T = -1  0  1  0    G = -1   0   0     A^T = 1 1  1 0
//        0  1  1  0        1/2 1/2 1/2          0 1 -1 1
//        0 -1  1  0        1/2 -1/2 1/2
//        0 -1  0  1         0   0   1
template <>
struct Winograd<2> {
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[4], V (&v)[4]) {
    v[0] = d[2] - d[0];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void filter(const V (&g)[3], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5)), ends = (g[0] + g[2]) * half, middle = g[1] * half;
    u[0] = broadcast(T(0)) - g[0];
    u[1] = ends + middle;
    u[2] = ends - middle;
    u[3] = g[2];
  }
  template <class V>
  static inline __attribute__((always_inline)) void output(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) + m[3];
  }
};

// B^T = 1 -3/2  -2   3/2  1  0   G =   1      0     0     A^T = 1 1  1  1    1  0
//       0  -1   1/2  5/2  1  0        1/3    1/3   1/3          0 1 -1 1/2  -2  0
//       0   1  -5/2  1/2  1  0       -1/3    1/3  -1/3          0 1  1 1/4   4  0
//       0  -2   -1    2   1  0      -16/15  -8/15 -4/15         0 1 -1 1/8  -8  1
//       0  1/2  -1  -1/2  1  0       1/15   -2/15  4/15
//       0   1  -3/2  -2  3/2 1         0      0     1
template <>
struct Winograd<4> {
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[6], V (&v)[6]) {
    using T = typename V::Scalar;
    const V e = d[4] - d[2], f = d[3] - d[1], more = broadcast(T(1.5));
    v[0] = fma(more, f, (d[0] - d[2]) + e);
    v[1] = fma(more, d[3] + d[2], e + f);
    v[2] = fma(more, d[3] - d[2], e - f);
    v[3] = fma(broadcast(T(2)), f, e);
    v[4] = fma(broadcast(T(-0.5)), f, e);
    v[5] = fma(more, e, (d[5] - d[3]) - f);
  }
  template <class V>
  static inline __attribute__((always_inline)) void filter(const V (&g)[3], V (&u)[6]) {
    using T = typename V::Scalar;
    const V third = broadcast(T(1.0 / 3)), ends = (g[0] + g[2]) * third, middle = g[1] * third;
    u[0] = g[0];
    u[1] = ends + middle;
    u[2] = middle - ends;
    u[3] = broadcast(T(-4.0 / 15)) * fma(broadcast(T(4)), g[0], fma(broadcast(T(2)), g[1], g[2]));
    u[4] = broadcast(T(1.0 / 15)) * fma(broadcast(T(4)), g[2], fma(broadcast(T(-2)), g[1], g[0]));
    u[5] = g[2];
  }
  template <class V>
  static inline __attribute__((always_inline)) void output(const V (&m)[6], V (&y)[4]) {
    using T = typename V::Scalar;
    const V a = m[1] + m[2], b = m[1] - m[2];
    y[0] = (m[0] + a) + (m[3] + m[4]);
    y[1] = fma(broadcast(T(0.5)), m[3], fma(broadcast(T(-2)), m[4], b));
    y[2] = fma(broadcast(T(0.25)), m[3], fma(broadcast(T(4)), m[4], a));
    y[3] = fma(broadcast(T(0.125)), m[3], fma(broadcast(T(-8)), m[4], b + m[5]));
  }
};

template <int M, bool Inside, class T>
void input_tile(const WinogradInput<T>& a) {
  constexpr int A = M + 2;
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
    Vec<T> rows[A][A];  // down the columns first
#pragma GCC unroll 6
    for (int j = 0; j < A; ++j) {
      Vec<T> d[A], v[A];
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i)
        d[i] = Inside || (i >= a.h0 && i < a.h1 && j >= a.w0 && j < a.w1)
                   ? load_filled(a.x + i * a.x_row + j * a.x_col + c, left, T(0))
                   : broadcast(T(0));
      Winograd<M>::input(d, v);
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) rows[i][j] = v[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < A; ++i) {
      Vec<T> v[A];
      Winograd<M>::input(rows[i], v);
#pragma GCC unroll 6
      for (int j = 0; j < A; ++j) store_first(a.v + (i * A + j) * a.v_xi + c, v[j], left);
    }
  });
}

template <int M, class T>
void transform(const WinogradInput<T>& a) {
  constexpr int A = M + 2;
  if (a.h0 == 0 && a.h1 == A && a.w0 == 0 && a.w1 == A) return input_tile<M, true>(a);
  input_tile<M, false>(a);
}

template <int M, class T>
void transform(const WinogradFilter<T>& a) {
  constexpr int A = M + 2;
  for (ptrdiff_t row = 0; row < a.rows; ++row) {
    const T* w = a.w + row * a.w_row;
    T* u = a.u + row * a.u_row;
    row_each<T>(0, a.n, [&](ptrdiff_t c, ptrdiff_t left) {
      Vec<T> rows[A][3];
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s) {
        Vec<T> g[3], v[A];
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) g[r] = load_filled(w + (3 * r + s) * a.w_tap + c, left, T(0));
        Winograd<M>::filter(g, v);
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) rows[i][s] = v[i];
      }
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) {
        Vec<T> v[A];
        Winograd<M>::filter(rows[i], v);
#pragma GCC unroll 6
        for (int j = 0; j < A; ++j) store_first(u + (i * A + j) * a.u_xi + c, v[j], left);
      }
    });
  }
}

template <int M, class T>
void transform(const WinogradOutput<T>& a) {
  constexpr int A = M + 2;
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
    Vec<T> rows[M][A];
#pragma GCC unroll 6
    for (int j = 0; j < A; ++j) {
      Vec<T> m[A], y[M];
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) m[i] = load_filled(a.m + (i * A + j) * a.m_xi + c, left, T(0));
      Winograd<M>::output(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) rows[i][j] = y[i];
    }
    const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      if (i >= a.rows) break;
      Vec<T> y[M];
      Winograd<M>::output(rows[i], y);
      T* to = a.y + i * a.y_row + c;
#pragma GCC unroll 4
      for (int j = 0; j < M; ++j)
        if (j < a.cols) store_first(to + j * a.y_col, max(low, min(high, y[j] + bias)), left);
    }
  });
}

}  // namespace

#define ROW(name, T, isa, what, m) \
  HERE_##isa(void name(const WINOGRAD_##what(T) & a) { transform<m>(a); })
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

}  // namespace striate
