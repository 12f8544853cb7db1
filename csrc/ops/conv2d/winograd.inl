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
//
#include "ops/conv2d/winograd_points.inl"
//
#include "ops/conv2d/winograd_part.inl"

namespace striate {
namespace {

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

// The same, past the caches by way of L1: a line is written at once. The driver drains them, once a
// block: once a tile costs some 6 % of 4 x 64 x 224 x 224.
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
