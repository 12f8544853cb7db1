// SPDX-License-Identifier: Apache-2.0
// The transforms of winograd.h over the vectors of one ISA: channels are unit stride, so a lane is
// a channel and a transform is additions of whole vectors, once down the columns of a tile and once
// along its rows.
//
// Instructions a vector of channels, 3x3 and a = 6: input 12 x 16, output 10 x 12, dy 10 x 12, dw 9
// x 9, besides its loads and stores, 36 on one side at least. Bound: those, two a cycle; tiles
// overlap, so 36 loads serve 16 pixels.
#include <cstdint>
#include <type_traits>

#include "ops/conv2d/winograd.h"
#include "simd/row.h"

namespace striate {
namespace {

// B^T (input), G (spread, from 2 to 5 values of filters or dy) and A^T (gather, to as many of y or
// dw) for a points. With c the points but infinity, G[i][j] = c_i^j / N_i with N_i the product of
// c_i - c_k over the others, A^T[j][i] = c_i^j, rows of B^T are the coefficients of the product of
// x - c_k over the others; infinity has the highest power alone.
template <int A>
struct Points;

// The index, of A points, of the i-th of the so many that are used: infinity is the last of both.
template <int A>
constexpr int point(int i, int used) {
  return i == used - 1 ? A - 1 : i;
}

// B^T = -1  0  1  0    G = -1   0   0     A^T = 1 1  1 0
//        0  1  1  0        1/2 1/2 1/2          0 1 -1 1
//        0 -1  1  0        1/2 -1/2 1/2
//        0 -1  0  1         0   0   1
template <>
struct Points<4> {
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[4], V (&v)[4]) {
    v[0] = d[2] - d[0];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void spread(const V (&g)[2], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5));
    u[0] = broadcast(T(0)) - g[0];
    u[1] = (g[0] + g[1]) * half;
    u[2] = (g[0] - g[1]) * half;
    u[3] = g[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void spread(const V (&g)[3], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5)), ends = (g[0] + g[2]) * half, middle = g[1] * half;
    u[0] = broadcast(T(0)) - g[0];
    u[1] = ends + middle;
    u[2] = ends - middle;
    u[3] = g[2];
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) + m[3];
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[4], V (&y)[3]) {
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
struct Points<6> {
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
  // Without the last finite points: products over fewer others, times what N_i has besides.
  //
  //   1  -2  -1  2  0      1   0  -1   0      1 -1 0      1 0
  //   0 -3/2 3/2 3  0      0  3/2 3/2  0      0  3 0      0 1
  //   0  1/2 -3/2 1 0      0  3/2 -3/2 0      0 -1 1
  //   0 -5/2  0 5/2 0      0  -1   0   1
  //   0  1/2 -1 -1/2 1
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[5], V (&v)[5]) {
    using T = typename V::Scalar;
    const V f = d[3] - d[1], half = broadcast(T(0.5));
    v[0] = fma(broadcast(T(2)), f, d[0] - d[2]);
    v[1] = broadcast(T(3)) * fma(half, d[2] - d[1], d[3]);
    v[2] = fma(broadcast(T(-1.5)), d[2], fma(half, d[1], d[3]));
    v[3] = broadcast(T(2.5)) * f;
    v[4] = fma(broadcast(T(-0.5)), f, d[4] - d[2]);
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[4], V (&v)[4]) {
    using T = typename V::Scalar;
    const V more = broadcast(T(1.5));
    v[0] = d[0] - d[2];
    v[1] = more * (d[1] + d[2]);
    v[2] = more * (d[1] - d[2]);
    v[3] = d[3] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[3], V (&v)[3]) {
    using T = typename V::Scalar;
    v[0] = d[0] - d[1];
    v[1] = broadcast(T(3)) * d[1];
    v[2] = d[2] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[2], V (&v)[2]) {
    v[0] = d[0], v[1] = d[1];
  }
  template <class V, int N>
  static inline __attribute__((always_inline)) void spread(const V (&g)[N], V (&u)[6]) {
    using T = typename V::Scalar;
    const V third = broadcast(T(1.0 / 3));
    V even = g[0], odd = broadcast(T(0)), half = g[0], two = g[N - 1];  // Horner's rule, 1/2 and -2
    if constexpr (N > 1) odd = g[1];
    if constexpr (N > 2) even = even + g[2];
    if constexpr (N > 3) odd = odd + g[3];
    even = even * third, odd = odd * third;
#pragma GCC unroll 4
    for (int j = 1; j < N; ++j) half = fma(broadcast(T(2)), half, g[j]);
#pragma GCC unroll 4
    for (int j = N - 2; j >= 0; --j) two = fma(broadcast(T(-2)), two, g[j]);
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = odd - even;
    u[3] = broadcast(T(-16.0 / 15 / (1 << (N - 1)))) * half;
    u[4] = broadcast(T(1.0 / 15)) * two;
    u[5] = g[N - 1];
  }
  template <class V, int P, int N>
  static inline __attribute__((always_inline)) void gather(const V (&m)[P], V (&y)[N]) {
    using T = typename V::Scalar;
    V a = broadcast(T(0)), b = a;  // of 1 and -1, even powers and odd ones
    if constexpr (P > 3)
      a = m[1] + m[2], b = m[1] - m[2];
    else if constexpr (P > 2)
      a = b = m[1];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      V sum = j % 2 ? b : a;
      if (j == N - 1) sum = sum + m[P - 1];
      if (j == 0) sum = sum + m[0];
      if constexpr (P > 5) sum = fma(broadcast(T(j % 2 ? -(1 << j) : 1 << j)), m[4], sum);
      if constexpr (P > 4) sum = fma(broadcast(T(1.0 / (1 << j))), m[3], sum);
      y[j] = sum;
    }
  }
};

// B^T d, or G d where there are fewer values than points, for the points used.
template <int A, bool Spread, int Size, int Used, class V>
inline __attribute__((always_inline)) void transform(const V (&d)[Size], V (&v)[Used]) {
  if constexpr (Spread) {
    V all[A];
    Points<A>::spread(d, all);
#pragma GCC unroll 6
    for (int i = 0; i < Used; ++i) v[i] = all[point<A>(i, Used)];
  } else {
    Points<A>::input(d, v);
  }
}

// Asks memory for the `cols` columns to the right of a tile, in its order.
template <class T>
struct Ahead {
  const WinogradInput<T>& tile;
  const ptrdiff_t col, run;
  ptrdiff_t row = 0, at = 0;

  Ahead(const WinogradInput<T>& a, int col, int cols)
      : tile(a), col(col * a.x_col), run(cols * a.x_col) {}

  __attribute__((noinline)) void ask(int lines) {
    for (int i = 0; i < lines; ++i, at += 64 / ptrdiff_t(sizeof(T))) {
      if (at >= run) at = 0, row += tile.x_row;
      __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(tile.x) +
                                                       sizeof(T) * uintptr_t(row + col + at)));
    }
  }
};

// A tile of Size x Size values, of x (Size == A) or of dy, to A x A.
template <int A, int Size, bool Inside, class T>
void whole_in(const WinogradInput<T>& a) {
  constexpr int kNext = A - 2;  // columns of the tile to the right
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  Ahead<T> ahead(a, Size, kNext);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    // They are asked for, as far as this tile has not read them.
    if (c % line == 0) {
      if (a.far)
        ahead.ask(Size * kNext);
      else
#pragma GCC unroll 6
        for (int i = 0; i < Size; ++i)
#pragma GCC unroll 6
          for (int j = Size; j < Size + kNext; ++j)
            __builtin_prefetch(reinterpret_cast<const void*>(
                reinterpret_cast<uintptr_t>(a.x) +
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
      transform<A, (Size < A)>(d, v);
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) rows[i][j] = v[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < A; ++i) {
      Vec<T> v[A];
      transform<A, (Size < A)>(rows[i], v);
#pragma GCC unroll 6
      for (int j = 0; j < A; ++j, v_at += v_xi) store_first(v_at, v[j], left);
    }
  });
}

template <int A, int Size, class T>
void tile_in(const WinogradInput<T>& a) {
  if (a.h0 == 0 && a.h1 == Size && a.w0 == 0 && a.w1 == Size) return whole_in<A, Size, true>(a);
  whole_in<A, Size, false>(a);
}

template <int A, int R, class T>
void filters_in(const WinogradFilter<T>& a) {
  constexpr ptrdiff_t kAhead = 4;
  for (ptrdiff_t row = 0; row < a.rows; ++row) {
    const T* w = a.w + row * a.w_row;
    const ptrdiff_t ahead = row + kAhead < a.rows ? kAhead * a.w_row : 0;
    T* u = a.u + row * a.u_row;
    row_each<T>(0, a.n, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
      const T* tap = w + c;
      const ptrdiff_t w_down = a.w_down, w_across = a.w_across, u_xi = a.u_xi;
      T* u_at = u + c;
      Vec<T> rows[A][R];
#pragma GCC unroll 3
      for (int s = 0; s < R; ++s) {
        Vec<T> g[R], v[A];
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) {
          __builtin_prefetch(tap + r * w_down + s * w_across + ahead);
          g[r] = load_filled(tap + r * w_down + s * w_across, left, T(0));
        }
        Points<A>::spread(g, v);
#pragma GCC unroll 6
        for (int i = 0; i < A; ++i) rows[i][s] = v[i];
      }
#pragma GCC unroll 6
      for (int i = 0; i < A; ++i) {
        Vec<T> v[A];
        Points<A>::spread(rows[i], v);
#pragma GCC unroll 6
        for (int j = 0; j < A; ++j, u_at += u_xi) store_first(u_at, v[j], left);
      }
    });
  }
}

// A x A values to Size x Size of y or dw.
template <int A, int Size, class T>
void tile_to(const WinogradOutput<T>& a) {
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
      Points<A>::gather(m, y);
#pragma GCC unroll 4
      for (int i = 0; i < Size; ++i) rows[i][j] = y[i];
    }
    const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 4
    for (int i = 0; i < Size; ++i) {
      if (i >= y_rows) break;
      Vec<T> y[Size];
      Points<A>::gather(rows[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < Size; ++j)
        if (j < y_cols)
          store_first(y_at + i * y_row + j * y_col, max(low, min(high, y[j] + bias)), left);
    }
  });
}

// f(n) with n as a constant, low <= n <= high.
template <int Low, int High, class F>
inline __attribute__((always_inline)) void as_constant(ptrdiff_t n, F f) {
  if constexpr (Low < High) {
    if (n > Low) return as_constant<Low + 1, High>(n, f);
  }
  f(std::integral_constant<int, Low>());
}

// Kernels of parts: tiles and filters of 6 points and fewer along either axis.
constexpr int kPoints = 6;

// f(size, points) as constants: as many points as pixels of x, or more than there are values of dy.
template <bool Spread, class F>
inline __attribute__((always_inline)) void sizes_in(ptrdiff_t size, ptrdiff_t points, F f) {
  if constexpr (Spread)
    as_constant<2, 4>(size, [&](auto n) __attribute__((always_inline)) {
      as_constant<0, 2>(points - size, [&](auto more) __attribute__((always_inline)) {
        f(n, std::integral_constant<int, n() + more()>());
      });
    });
  else
    as_constant<2, kPoints>(size, [&](auto n) __attribute__((always_inline)) { f(n, n); });
}

// Down the columns of a tile.
template <int Size, int Used, bool Spread, class T>
inline __attribute__((always_inline)) void columns_in(const WinogradInput<T>& a, ptrdiff_t c,
                                                      ptrdiff_t left,
                                                      Vec<T> (&rows)[kPoints][kPoints]) {
  for (int j = 0; j < a.across; ++j) {
    Vec<T> d[Size], v[Used];
#pragma GCC unroll 6
    for (int i = 0; i < Size; ++i)
      d[i] = i >= a.h0 && i < a.h1 && j >= a.w0 && j < a.w1
                 ? load_filled(a.x + i * a.x_row + j * a.x_col + c, left, T(0))
                 : broadcast(T(0));
    transform<kPoints, Spread>(d, v);
#pragma GCC unroll 6
    for (int i = 0; i < Used; ++i) rows[i][j] = v[i];
  }
}

// Along its rows.
template <int Size, int Used, bool Spread, class T>
inline __attribute__((always_inline)) void rows_in(const Vec<T> (&rows)[kPoints][kPoints],
                                                   ptrdiff_t down, T* v_at, ptrdiff_t v_xi,
                                                   ptrdiff_t left) {
  for (int i = 0; i < down; ++i) {
    Vec<T> d[Size], v[Used];
#pragma GCC unroll 6
    for (int j = 0; j < Size; ++j) d[j] = rows[i][j];
    transform<kPoints, Spread>(d, v);
    T* to = v_at + point<kPoints>(i, int(down)) * kPoints * v_xi;
#pragma GCC unroll 6
    for (int j = 0; j < Used; ++j) store_first(to + point<kPoints>(j, Used) * v_xi, v[j], left);
  }
}

template <bool Spread, class T>
void part_in(const WinogradInput<T>& a) {
  Vec<T> rows[kPoints][kPoints] = {};
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    sizes_in<Spread>(a.down, a.points_down, [&](auto size, auto points) {
      columns_in<size(), points(), Spread>(a, c, left, rows);
    });
    sizes_in<Spread>(a.across, a.points_across, [&](auto size, auto points) {
      rows_in<size(), points(), Spread>(rows, a.points_down, a.v + c, a.v_xi, left);
    });
  });
}

// Three more points than taps. One tap is a loop of one, which takes no annotation.
template <class T>
void part_filters(const WinogradFilter<T>& a) {
  Vec<T> rows[kPoints][3] = {};
  for (ptrdiff_t row = 0; row < a.rows; ++row) {
    row_each<T>(0, a.n, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
      const T* w = a.w + row * a.w_row + c;
      as_constant<1, 3>(a.down, [&](auto taps) {
        for (int j = 0; j < a.across; ++j) {
          Vec<T> g[taps()], v[taps() + 3];
          for (int i = 0; i < taps(); ++i)
            g[i] = load_filled(w + i * a.w_down + j * a.w_across, left, T(0));
          transform<kPoints, true>(g, v);
          for (int i = 0; i < taps() + 3; ++i) rows[i][j] = v[i];
        }
      });
      as_constant<1, 3>(a.across, [&](auto taps) {
        const int points = int(a.down) + 3;
        for (int i = 0; i < points; ++i) {
          Vec<T> g[taps()], v[taps() + 3];
          for (int j = 0; j < taps(); ++j) g[j] = rows[i][j];
          transform<kPoints, true>(g, v);
          T* to = a.u + point<kPoints>(i, points) * kPoints * a.u_xi + row * a.u_row + c;
          for (int j = 0; j < taps() + 3; ++j)
            store_first(to + point<kPoints>(j, taps() + 3) * a.u_xi, v[j], left);
        }
      });
    });
  }
}

// f(points, size) as constants: of y, as many points more as a filter has taps but one, of dw three
// more than taps.
template <bool Taps, class F>
inline __attribute__((always_inline)) void sizes_out(ptrdiff_t points, ptrdiff_t size, F f) {
  constexpr int least = Taps ? 1 : 2, fewest = Taps ? 3 : 0;
  as_constant<least, least + 2>(size, [&](auto n) __attribute__((always_inline)) {
    as_constant<fewest, Taps ? 3 : 2>(points - size, [&](auto more) __attribute__((always_inline)) {
      f(std::integral_constant<int, n() + more()>(), n);
    });
  });
}

template <int Used, int Size, class T>
inline __attribute__((always_inline)) void columns_out(const WinogradOutput<T>& a, ptrdiff_t c,
                                                       ptrdiff_t left, Vec<T> (&rows)[4][kPoints]) {
  for (int j = 0; j < a.points_across; ++j) {
    Vec<T> m[Used], y[Size];
    const T* from = a.m + point<kPoints>(j, int(a.points_across)) * a.m_xi + c;
#pragma GCC unroll 6
    for (int i = 0; i < Used; ++i)
      m[i] = load_filled(from + point<kPoints>(i, Used) * kPoints * a.m_xi, left, T(0));
    Points<kPoints>::gather(m, y);
    for (int i = 0; i < Size; ++i) rows[i][j] = y[i];
  }
}

template <int Used, int Size, class T>
inline __attribute__((always_inline)) void rows_out(const WinogradOutput<T>& a, ptrdiff_t c,
                                                    ptrdiff_t left,
                                                    const Vec<T> (&rows)[4][kPoints]) {
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
  for (int i = 0; i < a.rows; ++i) {
    Vec<T> m[Used], y[Size];
#pragma GCC unroll 6
    for (int j = 0; j < Used; ++j) m[j] = rows[i][j];
    Points<kPoints>::gather(m, y);
    for (int j = 0; j < Size; ++j)
      if (j < a.cols)
        store_first(a.y + i * a.y_row + j * a.y_col + c, max(low, min(high, y[j] + bias)), left);
  }
}

template <bool Taps, class T>
void part_to(const WinogradOutput<T>& a) {
  Vec<T> rows[4][kPoints] = {};
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    sizes_out<Taps>(a.points_down, a.down, [&](auto points, auto size) {
      columns_out<points(), size()>(a, c, left, rows);
    });
    sizes_out<Taps>(a.points_across, a.across,
                    [&](auto points, auto size) { rows_out<points(), size()>(a, c, left, rows); });
  });
}

// The same, past the caches by way of L1: a line is written at once.
template <class T, class To>
inline __attribute__((always_inline)) void past_or_not(const WinogradOutput<T>& a, To to) {
  if (!a.past) return to(a);
  constexpr int lanes = Vec<T>::lanes, line = 64 / int(sizeof(T)), most = 4;
  alignas(64) T held[most * most * line];
  WinogradOutput<T> part = a;
  part.channels = line, part.y = held, part.y_row = most * line, part.y_col = line;
  for (ptrdiff_t c = 0; c < a.channels; c += line) {
    part.m = a.m + c;
    if (a.bias) part.bias = a.bias + c;
    to(part);
    for (ptrdiff_t i = 0; i < a.rows; ++i)
      for (ptrdiff_t j = 0; j < a.cols; ++j)
#pragma GCC unroll 16
        for (int v = 0; v < line; v += lanes)
          stream(a.y + i * a.y_row + j * a.y_col + c + v, load(held + (i * most + j) * line + v));
  }
}

// Size 0: parts.
template <int A, int Size, bool Spread, class T>
void run_in(const WinogradInput<T>& a) {
  if constexpr (Size > 0)
    tile_in<A, Size>(a);
  else
    part_in<Spread>(a);
}
template <int A, int Size, class T>
void run_filters(const WinogradFilter<T>& a) {
  if constexpr (Size > 0)
    filters_in<A, Size>(a);
  else
    part_filters(a);
}
template <int A, int Size, bool Taps, class T>
void run_out(const WinogradOutput<T>& a) {
  past_or_not(a, [](const WinogradOutput<T>& part) {
    if constexpr (Size > 0)
      tile_to<A, Size>(part);
    else
      part_to<Taps>(part);
  });
}

}  // namespace

#define WINOGRAD_RUN_input(a, n, t) run_in<a, n, false>(t)
#define WINOGRAD_RUN_filter(a, n, t) run_filters<a, n>(t)
#define WINOGRAD_RUN_output(a, n, t) run_out<a, n, false>(t)
#define WINOGRAD_RUN_dy(a, n, t) run_in<a, n, true>(t)
#define WINOGRAD_RUN_dw(a, n, t) run_out<a, n, true>(t)
#define ROW(name, T, isa, what, a, n) \
  HERE_##isa(void name(const WINOGRAD_##what(T) & t) { WINOGRAD_RUN_##what(a, n, t); })
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

}  // namespace striate
