// SPDX-License-Identifier: Apache-2.0
// Transforms of tiles and filters of 6 points and fewer along either axis: tiles at an edge, pieces
// of one or two taps. There are 25 sizes of an input alone, so a size is an argument, and decides
// once a vector and axis between loops that know it.
#include <type_traits>

namespace striate {
namespace {

constexpr int kPoints = 6;

// f(n) with n as a constant, low <= n <= high.
template <int Low, int High, class F>
inline __attribute__((always_inline)) void as_constant(ptrdiff_t n, F f) {
  if constexpr (Low < High) {
    if (n > Low) return as_constant<Low + 1, High>(n, f);
  }
  f(std::integral_constant<int, Low>());
}

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

}  // namespace
}  // namespace striate
