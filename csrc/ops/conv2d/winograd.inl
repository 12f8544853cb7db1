// SPDX-License-Identifier: Apache-2.0
// The transforms of winograd.h over the vectors of one ISA: channels are unit stride, so a lane is
// a channel and a transform is additions of whole vectors, once down the columns of a tile and once
// along its rows.
//
// Instructions a vector of channels, m = 4: input 12 x 16, output 10 x 12, dy 10 x 12, dw 9 x 9,
// besides its loads and stores, 36 on one side at least. Bound: those, two a cycle; tiles overlap,
// so 36 loads serve 16 pixels.
#include <cstdint>

#include "ops/conv2d/winograd.h"
#include "simd/row.h"

namespace striate {
namespace {

template <int M>
struct Winograd;

// dy and dw have G and A^T of 4 x 2 and 3 x 4 (for m = 4: 6 x 4 and 3 x 6): powers of the same
// points, a^j / N(a) in G and a^j in A^T, each one fewer or more.
//
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
  template <class V>
  static inline __attribute__((always_inline)) void dy(const V (&g)[2], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5));
    u[0] = broadcast(T(0)) - g[0];
    u[1] = (g[0] + g[1]) * half;
    u[2] = (g[0] - g[1]) * half;
    u[3] = g[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void dw(const V (&m)[4], V (&y)[3]) {
    const V a = m[1] + m[2];
    y[0] = m[0] + a;
    y[1] = m[1] - m[2];
    y[2] = a + m[3];
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
  template <class V>
  static inline __attribute__((always_inline)) void dy(const V (&g)[4], V (&u)[6]) {
    using T = typename V::Scalar;
    const V third = broadcast(T(1.0 / 3)), even = (g[0] + g[2]) * third,
            odd = (g[1] + g[3]) * third;
    const V two = broadcast(T(2)), four = broadcast(T(4)), eight = broadcast(T(8));
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = odd - even;
    u[3] = broadcast(T(-2.0 / 15)) * fma(eight, g[0], fma(four, g[1], fma(two, g[2], g[3])));
    u[4] = broadcast(T(1.0 / 15)) * (fma(four, g[2], g[0]) - fma(eight, g[3], two * g[1]));
    u[5] = g[3];
  }
  template <class V>
  static inline __attribute__((always_inline)) void dw(const V (&m)[6], V (&y)[3]) {
    using T = typename V::Scalar;
    const V a = m[1] + m[2], b = m[1] - m[2];
    y[0] = (m[0] + a) + (m[3] + m[4]);
    y[1] = fma(broadcast(T(0.5)), m[3], fma(broadcast(T(-2)), m[4], b));
    y[2] = fma(broadcast(T(0.25)), m[3], fma(broadcast(T(4)), m[4], a + m[5]));
  }
};

// A tile of Size x Size values, of x (Size == M + 2) or of dy (Size == M), to (M + 2)^2.
template <int M, int Size, bool Inside, class T>
void tile_in(const WinogradInput<T>& a) {
  constexpr int A = M + 2;
  auto apply = [](const Vec<T>(&d)[Size], Vec<T>(&v)[A]) __attribute__((always_inline)) {
    if constexpr (Size == A)
      Winograd<M>::input(d, v);
    else
      Winograd<M>::dy(d, v);
  };
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    // The tile to the right has so many columns that this one has not.
    if (c % line == 0) {
#pragma GCC unroll 6
      for (int i = 0; i < Size; ++i)
#pragma GCC unroll 6
        for (int j = Size; j < Size + M; ++j)
          __builtin_prefetch(
              reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(a.x) +
                                            sizeof(T) * uintptr_t(i * a.x_row + j * a.x_col + c)));
    }
    const T* x = a.x + c;
    const ptrdiff_t x_row = a.x_row, x_col = a.x_col, v_xi = a.v_xi;
    T* v_at = a.v + c;
    Vec<T> rows[A][Size];  // down the columns first
#pragma GCC unroll 6
    for (int j = 0; j < Size; ++j) {
      Vec<T> d[Size], v[A];
#pragma GCC unroll 6
      for (int i = 0; i < Size; ++i)
        d[i] = Inside || (i >= a.h0 && i < a.h1 && j >= a.w0 && j < a.w1)
                   ? load_filled(x + i * x_row + j * x_col, left, T(0))
                   : broadcast(T(0));
      apply(d, v);
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) rows[i][j] = v[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < A; ++i) {
      Vec<T> v[A];
      apply(rows[i], v);
#pragma GCC unroll 6
      for (int j = 0; j < A; ++j, v_at += v_xi) store_first(v_at, v[j], left);
    }
  });
}

template <int M, int Size, class T>
void tile_in(const WinogradInput<T>& a) {
  if (a.h0 == 0 && a.h1 == Size && a.w0 == 0 && a.w1 == Size) return tile_in<M, Size, true>(a);
  tile_in<M, Size, false>(a);
}

template <int M, class T>
void filters_in(const WinogradFilter<T>& a) {
  constexpr int A = M + 2;
  constexpr ptrdiff_t kAhead = 4;
  for (ptrdiff_t row = 0; row < a.rows; ++row) {
    const T* w = a.w + row * a.w_row;
    const ptrdiff_t ahead = row + kAhead < a.rows ? kAhead * a.w_row : 0;
    T* u = a.u + row * a.u_row;
    row_each<T>(0, a.n, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
      const T* tap = w + c;
      const ptrdiff_t w_tap = a.w_tap, u_xi = a.u_xi;
      T* u_at = u + c;
      Vec<T> rows[A][3];
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s) {
        Vec<T> g[3], v[A];
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) {
          __builtin_prefetch(tap + (3 * r + s) * w_tap + ahead);
          g[r] = load_filled(tap + (3 * r + s) * w_tap, left, T(0));
        }
        Winograd<M>::filter(g, v);
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) rows[i][s] = v[i];
      }
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) {
        Vec<T> v[A];
        Winograd<M>::filter(rows[i], v);
#pragma GCC unroll 6
        for (int j = 0; j < A; ++j, u_at += u_xi) store_first(u_at, v[j], left);
      }
    });
  }
}

// (M + 2)^2 values to Size x Size, of y (Size == M) or of dw (Size == 3).
template <int M, int Size, class T>
void tile_out(const WinogradOutput<T>& a) {
  constexpr int A = M + 2;
  auto apply = [](const Vec<T>(&m)[A], Vec<T>(&y)[Size]) __attribute__((always_inline)) {
    if constexpr (Size == M)
      Winograd<M>::output(m, y);
    else
      Winograd<M>::dw(m, y);
  };
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    const T* m_at = a.m + c;
    const ptrdiff_t m_xi = a.m_xi, y_row = a.y_row, y_col = a.y_col, y_rows = a.rows,
                    y_cols = a.cols;
    T* y_at = a.y + c;
    Vec<T> rows[Size][A];
#pragma GCC unroll 6
    for (int j = 0; j < A; ++j) {
      Vec<T> m[A], y[Size];
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) m[i] = load_filled(m_at + (i * A + j) * m_xi, left, T(0));
      apply(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < Size; ++i) rows[i][j] = y[i];
    }
    const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 4
    for (int i = 0; i < Size; ++i) {
      if (i >= y_rows) break;
      Vec<T> y[Size];
      apply(rows[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < Size; ++j)
        if (j < y_cols)
          store_first(y_at + i * y_row + j * y_col, max(low, min(high, y[j] + bias)), left);
    }
  });
}

}  // namespace

#define TRANSFORM_input(m) tile_in<m, m + 2>(a)
#define TRANSFORM_filter(m) filters_in<m>(a)
#define TRANSFORM_output(m) tile_out<m, m>(a)
#define TRANSFORM_dy(m) tile_in<m, m>(a)
#define TRANSFORM_dw(m) tile_out<m, 3>(a)
#define ROW(name, T, isa, what, m) \
  HERE_##isa(void name(const WINOGRAD_##what(T) & a) { TRANSFORM_##what(m); })
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

}  // namespace striate
