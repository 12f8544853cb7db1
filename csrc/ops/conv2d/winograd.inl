// SPDX-License-Identifier: Apache-2.0
// The transforms of winograd.h over the vectors of one ISA: channels are unit stride, so a lane is
// a channel and a transform is additions of whole vectors, once down the columns of a tile and once
// along its rows.
//
// Instructions a vector of channels, 3x3 and a = 6: input 12 x 16, output 10 x 12, dy 10 x 12, dw 9
// x 9, besides its loads and stores, 36 on one side at least. Bound: those, two a cycle; tiles
// overlap, so 36 loads serve 16 pixels.
#include <cstdint>

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

// The index of the i-th of the points that a tile at an edge uses: infinity is the last of them
// too.
template <int A, int Used>
constexpr int point(int i) {
  return i == Used - 1 ? A - 1 : i;
}
// From it to the next; from the last to where the next row begins.
template <int A, int Used>
constexpr int to_next_point(int i) {
  return i == Used - 2 ? A - Used + 1 : 1;
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
  // Without -2, or 1/2 as well, products over fewer others, times what the products over all of
  // them, N_i, have besides: c_i + 2, or (c_i - 1/2) (c_i + 2).
  //
  //   1  -2  -1  2  0        1   0  -1  0
  //   0 -3/2 3/2 3  0        0  3/2 3/2 0
  //   0  1/2 -3/2 1 0        0  3/2 -3/2 0
  //   0 -5/2  0 5/2 0
  //   0  1/2 -1 -1/2 1       0  -1   0  1
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
  template <class V, int N>
  static inline __attribute__((always_inline)) void spread(const V (&g)[N], V (&u)[6]) {
    using T = typename V::Scalar;
    const V third = broadcast(T(1.0 / 3));
    V even = g[0], odd = g[1], half = g[0], two = g[N - 1];  // Horner's rule for 1/2 and -2
    if constexpr (N > 2) even = even + g[2];
    if constexpr (N > 3) odd = odd + g[3];
    if constexpr (N > 4) even = even + g[4];
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
  template <class V, int N>
  static inline __attribute__((always_inline)) void gather(const V (&m)[6], V (&y)[N]) {
    using T = typename V::Scalar;
    const V a = m[1] + m[2], b = m[1] - m[2];
    y[0] = (m[0] + a) + (m[3] + m[4]);
#pragma GCC unroll 4
    for (int j = 1; j < N; ++j) {
      const V ones = j == N - 1 ? (j % 2 ? b : a) + m[5] : j % 2 ? b : a;
      y[j] = fma(broadcast(T(1.0 / (1 << j))), m[3],
                 fma(broadcast(T(j % 2 ? -(1 << j) : 1 << j)), m[4], ones));
    }
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[5], V (&y)[3]) {
    using T = typename V::Scalar;
    const V a = m[1] + m[2], b = m[1] - m[2];
    y[0] = (m[0] + a) + m[3];
    y[1] = fma(broadcast(T(0.5)), m[3], b);
    y[2] = fma(broadcast(T(0.25)), m[3], a + m[4]);
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[4], V (&y)[2]) {
    Points<4>::gather(m, y);
  }
};

// B^T d, or G d where there are fewer values than points, for the points used.
template <int A, bool Spread, int Size, int Used, class V>
inline __attribute__((always_inline)) void transform(const V (&d)[Size], V (&v)[Used]) {
  if constexpr (Spread) {
    V all[A];
    Points<A>::spread(d, all);
#pragma GCC unroll 6
    for (int i = 0; i < Used; ++i) v[i] = all[point<A, Used>(i)];
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

// A tile of Size x Size values, of x (Size == A) or of dy, to A x A, or of as many as Down x Across
// points need, to those.
template <int A, int Size, int Down, int Across, bool Inside, class T>
void tile_in(const WinogradInput<T>& a) {
  constexpr bool kSpread = Size < A;
  constexpr int kRows = Down - (A - Size), kCols = Across - (A - Size);
  constexpr int kNext = A - 2;  // columns of the tile to the right, and some more for 5x5
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  Ahead<T> ahead(a, Size, kNext);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    // They are asked for, as far as this tile has not read them.
    if (Across == A && c % line == 0) {
      if (a.far)
        ahead.ask(kRows * kNext);
      else
#pragma GCC unroll 6
        for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 6
          for (int j = Size; j < Size + kNext; ++j)
            __builtin_prefetch(reinterpret_cast<const void*>(
                reinterpret_cast<uintptr_t>(a.x) +
                sizeof(T) * uintptr_t(i * a.x_row + j * a.x_col + c)));
    }
    const T* x = a.x + c;
    const ptrdiff_t x_row = a.x_row, x_col = a.x_col, v_xi = a.v_xi;
    T* v_at = a.v + c;
    Vec<T> rows[Down][kCols];  // down the columns first
#pragma GCC unroll 6
    for (int j = 0; j < kCols; ++j) {
      Vec<T> d[kRows], v[Down];
#pragma GCC unroll 6
      for (int i = 0; i < kRows; ++i)
        d[i] = Inside || (i >= a.h0 && i < a.h1 && j >= a.w0 && j < a.w1)
                   ? load_filled(x + i * x_row + j * x_col, left, T(0))
                   : broadcast(T(0));
      transform<A, kSpread>(d, v);
#pragma GCC unroll 6
      for (int i = 0; i < Down; ++i) rows[i][j] = v[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < Down; ++i) {
      Vec<T> v[Across];
      transform<A, kSpread>(rows[i], v);
#pragma GCC unroll 6
      for (int j = 0; j < Across; ++j) {
        store_first(v_at, v[j], left);
        v_at += to_next_point<A, Across>(j) * v_xi;
      }
      v_at += (to_next_point<A, Down>(i) - 1) * A * v_xi;
    }
  });
}

template <int A, int Size, int Down, int Across, class T>
void tile_in(const WinogradInput<T>& a) {
  constexpr int kRows = Down - (A - Size), kCols = Across - (A - Size);
  if (a.h0 == 0 && a.h1 == kRows && a.w0 == 0 && a.w1 == kCols)
    return tile_in<A, Size, Down, Across, true>(a);
  tile_in<A, Size, Down, Across, false>(a);
}

template <int A, int R, int, int, class T>
void filters_in(const WinogradFilter<T>& a) {
  constexpr ptrdiff_t kAhead = 4;
  for (ptrdiff_t row = 0; row < a.rows; ++row) {
    const T* w = a.w + row * a.w_row;
    const ptrdiff_t ahead = row + kAhead < a.rows ? kAhead * a.w_row : 0;
    T* u = a.u + row * a.u_row;
    row_each<T>(0, a.n, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
      const T* tap = w + c;
      const ptrdiff_t w_tap = a.w_tap, u_xi = a.u_xi;
      T* u_at = u + c;
      Vec<T> rows[A][R];
#pragma GCC unroll 5
      for (int s = 0; s < R; ++s) {
        Vec<T> g[R], v[A];
#pragma GCC unroll 5
        for (int r = 0; r < R; ++r) {
          __builtin_prefetch(tap + (R * r + s) * w_tap + ahead);
          g[r] = load_filled(tap + (R * r + s) * w_tap, left, T(0));
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

// A x A values to Size x Size of y or dw, or those of Down x Across points to as many as they give.
template <int A, int Size, int Down, int Across, class T>
void tile_to(const WinogradOutput<T>& a) {
  constexpr int kRows = Down - (A - Size), kCols = Across - (A - Size);
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    const T* m_at = a.m + c;
    const ptrdiff_t m_xi = a.m_xi, y_row = a.y_row, y_col = a.y_col, y_rows = a.rows,
                    y_cols = a.cols;
    T* y_at = a.y + c;
    Vec<T> rows[kRows][Across];
#pragma GCC unroll 6
    for (int j = 0; j < Across; ++j) {
      Vec<T> m[Down], y[kRows];
#pragma GCC unroll 6
      for (int i = 0; i < Down; ++i)
        m[i] = load_filled(m_at + (point<A, Down>(i) * A + point<A, Across>(j)) * m_xi, left, T(0));
      Points<A>::gather(m, y);
#pragma GCC unroll 5
      for (int i = 0; i < kRows; ++i) rows[i][j] = y[i];
    }
    const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 5
    for (int i = 0; i < kRows; ++i) {
      if (i >= y_rows) break;
      Vec<T> y[kCols];
      Points<A>::gather(rows[i], y);
#pragma GCC unroll 5
      for (int j = 0; j < kCols; ++j)
        if (j < y_cols)
          store_first(y_at + i * y_row + j * y_col, max(low, min(high, y[j] + bias)), left);
    }
  });
}

// The same, past the caches by way of L1: a line is written at once.
template <int A, int Size, int Down, int Across, class T>
void tile_out(const WinogradOutput<T>& a) {
  if (!a.past) return tile_to<A, Size, Down, Across>(a);
  constexpr int kRows = Down - (A - Size), kCols = Across - (A - Size);
  constexpr int lanes = Vec<T>::lanes, line = 64 / int(sizeof(T));
  alignas(64) T held[kRows * kCols * line];
  WinogradOutput<T> part = a;
  part.channels = line, part.y = held, part.y_row = kCols * line, part.y_col = line;
  for (ptrdiff_t c = 0; c < a.channels; c += line) {
    part.m = a.m + c;
    if (a.bias) part.bias = a.bias + c;
    tile_to<A, Size, Down, Across>(part);
    for (ptrdiff_t i = 0; i < a.rows; ++i)
      for (ptrdiff_t j = 0; j < a.cols; ++j)
#pragma GCC unroll 16
        for (int v = 0; v < line; v += lanes)
          stream(a.y + i * a.y_row + j * a.y_col + c + v, load(held + (i * kCols + j) * line + v));
  }
}

}  // namespace

#define TRANSFORM_input tile_in
#define TRANSFORM_filter filters_in
#define TRANSFORM_output tile_out
#define TRANSFORM_dy tile_in
#define TRANSFORM_dw tile_out
#define ROW(name, T, isa, what, a, n, down, across) \
  HERE_##isa(void name(const WINOGRAD_##what(T) & t) { TRANSFORM_##what<a, n, down, across>(t); })
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

}  // namespace striate
