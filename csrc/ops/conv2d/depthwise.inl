// SPDX-License-Identifier: Apache-2.0
// A line of channels slides along a row of x. M outputs are open at a time: pixel k * U + t meets
// column U m + t of output k - m. Weights of nine taps are loaded once a line, and lie in registers
// or on the stack.
//
// Bound in caches, 3x3 at stride 1: L2, which gives each row of x three times to a row of outputs,
// twice where two rows are made at once and 1.5 times where four are; registers for four are there
// where vectors are lines. Two rows and one vector at once took 1.3 times as long (Zen 5).
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <type_traits>

#include "core/blocks.h"
#include "ops/conv2d/depthwise.h"
#include "simd/row.h"

namespace striate {
namespace {

constexpr ptrdiff_t kWeightRun = 32;  // pixels between two meetings with the sums in memory

// Pixels so many bytes apart share eight sets of L1, or fewer: the second half of a line comes from
// L2 again, where a run of them lies between the two.
constexpr ptrdiff_t kCrowded = 512;

// Whether a vector is a line; there are 32 registers then. Otherwise lines are two vectors.
template <class T>
constexpr bool kWide = Vec<T>::lanes * sizeof(T) >= 64;

// Asks for the next lines of the rows ahead; Write: y is about to be written. Processors whose
// vectors are lines do better by themselves (Zen 5, 3x3 from L3: 130 to 140 GF/s and 115 to 125),
// but for what comes from memory, where rows of x are asked for, and at stride 1 those of a dy that
// is read (8 x 128 x 56 x 56 1.03 and 0.76 ms; at stride 2 0.96 and 1.02).
template <class T, bool Write>
class Fetch {
 public:
  explicit Fetch(const DepthwiseAhead& a)
      : x_(uintptr_t(a.x)),
        y_(uintptr_t(a.y)),
        x_lines_(kWide<T> && !a.far ? 0 : a.x_lines),
        y_lines_(kWide<T> && (Write || !a.far) ? 0 : a.y_lines) {}
  // What a line of one pixel asks for, times `lines`.
  inline __attribute__((always_inline)) void next(int lines) {
    for (ptrdiff_t i = 0; i < x_lines_ * lines; ++i, x_ += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(x_));
    for (ptrdiff_t i = 0; i < y_lines_ * lines; ++i, y_ += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(y_), Write);
  }

 private:
  uintptr_t x_, y_;
  ptrdiff_t x_lines_, y_lines_;
};

// NV vectors of channels from c on, the last of `left` elements. R: rows of the filter, 0 for
// those of `a`; O: rows of outputs, whose filters lie U rows of x apart.
template <class T, int S, int R, int U, int O, int NV>
inline __attribute__((always_inline)) void slide(const DepthwisePixels<T>& a, ptrdiff_t c,
                                                 ptrdiff_t left, Fetch<T, true>& ahead) {
  static_assert(R > 0 || O == 1, "rows that are not known share no pixel");
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U, held = R > 0 ? R : 1;
  constexpr int rows = held + U * (O - 1);
  const DepthwiseRun run = a.run;
  const ptrdiff_t x_step = a.x_step, out_step = a.out_step;
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  Vec<T> begin[NV], acc[O][M][NV], weight[held][S][NV];
  const T* x[rows];
  T* out[O];
#pragma GCC unroll 2
  for (int v = 0; v < NV; ++v)
    begin[v] = a.bias ? load_filled(a.bias + c + v * lanes, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 4
  for (int o = 0; o < O; ++o) {
    out[o] = a.out[o] + c;
#pragma GCC unroll 5
    for (int m = 0; m < M; ++m)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) acc[o][m][v] = begin[v];
  }
  auto row = [&](const T* w, Vec<T>(&of)[S][NV]) __attribute__((always_inline)) {
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v)
        of[s][v] = load_filled(w + c + s * a.w_column + v * lanes, left, T(0));
  };
  if constexpr (R > 0) {
#pragma GCC unroll 9
    for (int r = 0; r < rows; ++r) x[r] = a.x[r] + c;
#pragma GCC unroll 5
    for (int r = 0; r < R; ++r) row(a.w[r], weight[r]);
  }
  // Column t of a stride: pixels of row r, the weights of row `of` in output row o.
  auto meet = [&](const Vec<T>(&pixel)[NV], int t, int o, const Vec<T>(&of)[S][NV])
                  __attribute__((always_inline)) {
#pragma GCC unroll 5
                    for (int m = 0; U * m + t < S; ++m)
#pragma GCC unroll 2
                      for (int v = 0; v < NV; ++v)
                        acc[o][m][v] = fma(pixel[v], of[U * m + t][v], acc[o][m][v]);
                  };
  auto read = [&](const T* p, Vec<T>(&pixel)[NV]) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int v = 0; v < NV; ++v) pixel[v] = load_filled(p + v * lanes, left, T(0));
  };
  // At an edge, columns that are not there are not read, and outputs that are not there not
  // written.
  auto step = [&](ptrdiff_t k, auto edge) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int t = 0; t < U; ++t) {
      const ptrdiff_t column = k * U + t - run.lead;
      if (edge.value && size_t(column) >= size_t(run.present)) continue;
      const ptrdiff_t at = column * x_step;
      Vec<T> pixel[NV];
      if constexpr (R > 0) {
#pragma GCC unroll 9
        for (int r = 0; r < rows; ++r) {
          read(x[r] + at, pixel);
#pragma GCC unroll 4
          for (int o = 0; o < O; ++o)
            if (r >= U * o && r < U * o + R) meet(pixel, t, o, weight[r - U * o]);
        }
      } else {
        for (ptrdiff_t r = 0; r < a.rows; ++r) {
          read(a.x[r] + c + at, pixel);
          row(a.w[r], weight[0]);
          meet(pixel, t, 0, weight[0]);
        }
      }
    }
    ahead.next(kWide<T> ? NV : 1);
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) {
      if (!edge.value || k >= M - 1) {
#pragma GCC unroll 2
        for (int v = 0; v < NV; ++v) {
          const Vec<T> sum = max(low, min(high, acc[o][M - 1][v]));
          if (a.past)
            stream(out[o] + v * lanes, sum);
          else
            store_first(out[o] + v * lanes, sum, left);
        }
        out[o] += out_step;
      }
#pragma GCC unroll 2
      for (int v = 0; v < NV; ++v) {
#pragma GCC unroll 5
        for (int m = M - 1; m > 0; --m) acc[o][m][v] = acc[o][m - 1][v];
        acc[o][0][v] = begin[v];
      }
    }
  };
  const ptrdiff_t from = std::max<ptrdiff_t>(M - 1, ceil_div(run.lead, U));
  const ptrdiff_t to = std::min(run.pixels, (run.lead + run.present) / U), end = run.pixels + M - 1;
  ptrdiff_t k = 0;
  for (; k < end && k < from; ++k) step(k, std::true_type());
  for (; k < end && k < to; ++k) step(k, std::false_type());
  for (; k < end; ++k) step(k, std::true_type());
}

// By value: what is stored might lie in `a` for all that the compiler knows.
template <class T, int S, int R, int U, int O, int NV = 2>
void pixels_of(const DepthwisePixels<T> a) {
  constexpr int lanes = Vec<T>::lanes;
  Fetch<T, true> ahead(a.ahead);
  ptrdiff_t c = 0;
  for (; c + NV * lanes <= a.channels; c += NV * lanes)
    slide<T, S, R, U, O, NV>(a, c, lanes, ahead);
  row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
    slide<T, S, R, U, O, 1>(a, at, left, ahead);
  });
  if (a.past) drain();
}

// Outputs in 1, 2 or 4 rows. Four together want 32 registers, and pixels that are near each other
// or few: with wider ones two rows by two vectors are as fast from L1 and faster from L3, which
// gives lines in pairs.
template <class T, int S, int U>
void rows_of(const DepthwisePixels<T>& a) {
  if (a.outs == 1) return pixels_of<T, S, S, U, 1>(a);
  if constexpr (depthwise_together(S, S, U) > 1) {
    if constexpr (kWide<T>) {
      constexpr ptrdiff_t near = 256 / ptrdiff_t(sizeof(T)), few = 16;
      if (a.outs == 4 && a.run.pixels <= few) return pixels_of<T, S, S, U, 4>(a);
      if (a.outs == 4 && a.x_step <= near) return pixels_of<T, S, S, U, 4, 1>(a);
    }
    if (a.outs == 2 && (kWide<T> || U == 1)) return pixels_of<T, S, S, U, 2>(a);
    DepthwisePixels<T> half = a;  // the upper one asks for rows of x, the lower one for those of y
    half.outs /= 2, half.ahead.y_lines = 0;
    rows_of<T, S, U>(half);
    half.x += U * half.outs, half.out += half.outs;
    half.ahead = a.ahead, half.ahead.x_lines = 0;
    rows_of<T, S, U>(half);
  }
}

template <class T, int S>
void columns_of(const DepthwisePixels<T>& a) {
  const bool two = a.run.stride == 2;
  if constexpr (S == 3 || S == 5)
    if (a.rows == S) return two ? rows_of<T, S, 2>(a) : rows_of<T, S, 1>(a);
  if constexpr (S <= 2) {  // residue classes of the data gradient of 3x3 with stride 2
    if (a.rows == 1 && !two) return pixels_of<T, S, 1, 1, 1>(a);
  }
  if constexpr (S <= 3) {  // and rows at the edge of 3x3
    if (a.rows == 2) return two ? pixels_of<T, S, 2, 2, 1>(a) : pixels_of<T, S, 2, 1, 1>(a);
  }
  if constexpr (S > 1)
    if (two) return pixels_of<T, S, 0, 2, 1>(a);
  return pixels_of<T, S, 0, 1, 1>(a);
}

template <class T>
void pixel(const DepthwisePixels<T>& a) {
  switch (a.run.columns) {
    case 1:
      return columns_of<T, 1>(a);
    case 2:
      return columns_of<T, 2>(a);
    case 3:
      return columns_of<T, 3>(a);
    case 4:
      return columns_of<T, 4>(a);
    case 5:
      return columns_of<T, 5>(a);
  }
}

// Columns of x of strides [begin, end), under R rows of the filter and D rows of dy.
template <class T, int S, int R, int U, int D, int NV>
inline __attribute__((always_inline)) void columns(const DepthwiseWeight<T>& a, ptrdiff_t begin,
                                                   ptrdiff_t end, ptrdiff_t c, ptrdiff_t left,
                                                   Fetch<T, false>& ahead) {
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U, rows = R + U * (D - 1);
  const DepthwiseRun run = a.run;
  const bool fetches = c * ptrdiff_t(sizeof(T)) % 64 == 0;
  Vec<T> acc[R][S][NV];
  const T *x[rows], *dy = a.dy + c;
#pragma GCC unroll 9
  for (int r = 0; r < rows; ++r) x[r] = a.x[r] + c;
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        acc[r][s][v] = load_filled(a.out[r] + s * a.out_column + c + v * lanes, left, T(0));
  // At an edge, columns and outputs that are not there are not read: they meet not even a NaN.
  auto step = [&](ptrdiff_t k, auto edge) __attribute__((always_inline)) {
    if (fetches) ahead.next(1);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      Vec<T> d[D][M];
#pragma GCC unroll 4
      for (int o = 0; o < D; ++o)
#pragma GCC unroll 5
        for (int m = 0; m < M; ++m)
          d[o][m] =
              !edge.value || size_t(k - m) < size_t(run.pixels)
                  ? load_filled(dy + o * a.dy_row + (k - m) * a.dy_step + v * lanes, left, T(0))
                  : broadcast(T(0));
#pragma GCC unroll 2
      for (int t = 0; t < U; ++t) {
        const ptrdiff_t column = k * U + t - run.lead;
        if (edge.value && size_t(column) >= size_t(run.present)) continue;
#pragma GCC unroll 9
        for (int row = 0; row < rows; ++row) {
          const Vec<T> pixel = load_filled(x[row] + column * a.x_step + v * lanes, left, T(0));
#pragma GCC unroll 4
          for (int o = 0; o < D; ++o) {
            const int r = row - U * o;
            if (r < 0 || r >= R) continue;
#pragma GCC unroll 5
            for (int m = 0; U * m + t < S; ++m)
              if (!edge.value || size_t(k - m) < size_t(run.pixels))
                acc[r][U * m + t][v] = fma(pixel, d[o][m], acc[r][U * m + t][v]);
          }
        }
      }
    }
  };
  const ptrdiff_t from = std::max<ptrdiff_t>(M - 1, ceil_div(run.lead, U));
  const ptrdiff_t to = std::min(run.pixels, (run.lead + run.present) / U);
  ptrdiff_t k = begin;
  for (; k < end && k < from; ++k) step(k, std::true_type());
  for (; k < end && k < to; ++k) step(k, std::false_type());
  for (; k < end; ++k) step(k, std::true_type());
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        store_first(a.out[r] + s * a.out_column + c + v * lanes, acc[r][s][v], left);
}

// Rows r to r + R.
template <class T, int S, int R, int U, int D, int NV>
void weight_rows(const DepthwiseWeight<T>& all, ptrdiff_t r) {
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U;
  DepthwiseWeight<T> a = all;
  a.x += r, a.out += r;
  if (r > 0) a.ahead = {};
  if (kWide<T> && U > 1) a.ahead.y_lines = 0;
  Fetch<T, false> ahead(a.ahead);
  const ptrdiff_t strides = a.run.pixels + M - 1;
  for (ptrdiff_t k = 0; k < strides; k += kWeightRun) {
    const ptrdiff_t end = std::min(k + kWeightRun, strides);
    ptrdiff_t c = 0;
    for (; c + NV * lanes <= a.channels; c += NV * lanes)
      columns<T, S, R, U, D, NV>(a, k, end, c, lanes, ahead);
    row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
      columns<T, S, R, U, D, 1>(a, k, end, at, left, ahead);
    });
  }
}

// A row of dy.
template <class T, int S, int U>
void weight_of_row(const DepthwiseWeight<T>& a) {
  // Sums: eight to twelve, as two ports of four cycles and sixteen registers want.
  const bool crowd = !kWide<T> && a.dy_step * ptrdiff_t(sizeof(T)) % kCrowded == 0;
  ptrdiff_t r = 0;
  if constexpr (S == 3 && !kWide<T>)
    for (; crowd && r + 2 <= a.rows; r += 2) weight_rows<T, S, 2, U, 1, 2>(a, r);
  if constexpr (S == 3 || S == 5)
    for (constexpr int R = S == 3 ? 3 : 2; !crowd && r + R <= a.rows; r += R)
      weight_rows<T, S, R, U, 1, 1>(a, r);
  for (; r < a.rows; ++r) weight_rows<T, S, 1, U, 1, S <= 3 ? 4 : 2>(a, r);
}

// Two and four rows of dy share rows of x and meet the sums in memory once; at a stride of two by
// two vectors, as L3 gives lines in pairs (1.07 to 1.33 times the speed on a Zen 5; at one 0.95).
template <class T, int S, int U>
void weight_of(const DepthwiseWeight<T>& a) {
  if constexpr (depthwise_together(S, S, U) > 1 && kWide<T>) {
    if (a.outs == 4) return weight_rows<T, S, S, U, 4, U>(a, 0);
    if (a.outs == 2) return weight_rows<T, S, S, U, 2, U>(a, 0);
  }
  DepthwiseWeight<T> one = a;
  for (ptrdiff_t o = 0; o < a.outs; ++o) {
    weight_of_row<T, S, U>(one);
    one.x += U, one.dy += a.dy_row;
    one.ahead = {};
  }
}

template <class T>
void weight(const DepthwiseWeight<T>& a) {
  const bool two = a.run.stride == 2;
  switch (a.run.columns) {
    case 1:
      return weight_of<T, 1, 1>(a);
    case 2:
      return two ? weight_of<T, 2, 2>(a) : weight_of<T, 2, 1>(a);
    case 3:
      return two ? weight_of<T, 3, 2>(a) : weight_of<T, 3, 1>(a);
    case 4:
      return two ? weight_of<T, 4, 2>(a) : weight_of<T, 4, 1>(a);
    case 5:
      return two ? weight_of<T, 5, 2>(a) : weight_of<T, 5, 1>(a);
  }
}
static_assert(kMostColumns == 5);

}  // namespace
}  // namespace striate
