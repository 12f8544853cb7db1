// SPDX-License-Identifier: Apache-2.0
// A line of channels slides along a row of x. M outputs are open at a time: pixel k * U + t meets
// column U m + t of output k - m. Weights of nine taps are loaded once a line, and lie in registers
// or on the stack.
//
// Bound in caches, 3x3 at stride 1: multiply-adds. Loads a multiply-add: 0.33 of x, 0.22 where two
// rows are made at once, and where registers are 16, most weights.
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

// Vectors of a line, but no more than two.
template <class T>
constexpr int kLine = Vec<T>::lanes * sizeof(T) < 64 ? 2 : 1;

// Asks for the next lines of the rows ahead; Write: y is about to be written.
template <bool Write>
class Fetch {
 public:
  explicit Fetch(const DepthwiseAhead& a)
      : x_(uintptr_t(a.x)), y_(uintptr_t(a.y)), x_lines_(a.x_lines), y_lines_(a.y_lines) {}
  inline __attribute__((always_inline)) void next() {
    for (ptrdiff_t i = 0; i < x_lines_; ++i, x_ += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(x_));
    for (ptrdiff_t i = 0; i < y_lines_; ++i, y_ += 64)
      __builtin_prefetch(reinterpret_cast<const void*>(y_), Write);
  }

 private:
  uintptr_t x_, y_;
  ptrdiff_t x_lines_, y_lines_;
};

// NV vectors of channels from c on, the last of `left` elements. R: rows of the filter, 0 for
// those of `a`; O: rows of outputs.
template <class T, int S, int R, int U, int O, int NV>
inline __attribute__((always_inline)) void slide(const DepthwisePixels<T>& a, ptrdiff_t c,
                                                 ptrdiff_t left, Fetch<true>& ahead) {
  static_assert(R > 0 || O == 1, "rows that are not known share no pixel");
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U, held = R > 0 ? R : 1;
  const DepthwiseRun run = a.run;
  const ptrdiff_t x_step = a.x_step, out_step = a.out_step;
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  Vec<T> begin[NV], acc[O][M][NV], weight[held][S][NV];
  const T* x[held + O - 1];
  T* out[O];
#pragma GCC unroll 2
  for (int v = 0; v < NV; ++v)
    begin[v] = a.bias ? load_filled(a.bias + c + v * lanes, left, T(0)) : broadcast(T(0));
#pragma GCC unroll 2
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
#pragma GCC unroll 6
    for (int r = 0; r < R + O - 1; ++r) x[r] = a.x[r] + c;
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
#pragma GCC unroll 6
        for (int r = 0; r < R + O - 1; ++r) {
          read(x[r] + at, pixel);
#pragma GCC unroll 2
          for (int o = 0; o < O; ++o)
            if (r >= o && r < o + R) meet(pixel, t, o, weight[r - o]);
        }
      } else {
        for (ptrdiff_t r = 0; r < a.rows; ++r) {
          read(a.x[r] + c + at, pixel);
          row(a.w[r], weight[0]);
          meet(pixel, t, 0, weight[0]);
        }
      }
    }
    ahead.next();
#pragma GCC unroll 2
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
template <class T, int S, int R, int U, int O>
void pixels_of(const DepthwisePixels<T> a) {
  constexpr int NV = kLine<T>, lanes = Vec<T>::lanes;
  Fetch<true> ahead(a.ahead);
  ptrdiff_t c = 0;
  for (; c + NV * lanes <= a.channels; c += NV * lanes)
    slide<T, S, R, U, O, NV>(a, c, lanes, ahead);
  row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
    slide<T, S, R, U, O, 1>(a, at, left, ahead);
  });
  if (a.past) drain();
}

template <class T, int S>
void columns_of(const DepthwisePixels<T>& a) {
  const bool two = a.run.stride == 2;
  if constexpr (S == 3 || S == 5)
    if (a.rows == S) {
      if (two) return pixels_of<T, S, S, 2, 1>(a);
      if constexpr (depthwise_pairs(S, S, 1))
        if (a.outs == 2) return pixels_of<T, S, S, 1, 2>(a);
      return pixels_of<T, S, S, 1, 1>(a);
    }
  if constexpr (S <= 2) {  // residue classes of the data gradient of 3x3 with stride 2
    if (a.rows == 1 && !two) return pixels_of<T, S, 1, 1, 1>(a);
    if (a.rows == 2 && !two) return pixels_of<T, S, 2, 1, 1>(a);
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

// Columns of x of strides [begin, end), R rows of them.
template <class T, int S, int R, int U, int NV>
inline __attribute__((always_inline)) void columns(const DepthwiseWeight<T>& a, ptrdiff_t begin,
                                                   ptrdiff_t end, ptrdiff_t c, ptrdiff_t left,
                                                   Fetch<false>& ahead) {
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U;
  const DepthwiseRun run = a.run;
  const bool fetches = c * ptrdiff_t(sizeof(T)) % 64 == 0;
  Vec<T> acc[R][S][NV];
  const T *x[R], *dy = a.dy + c;
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
    x[r] = a.x[r] + c;
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        acc[r][s][v] = load_filled(a.out[r] + s * a.out_column + c + v * lanes, left, T(0));
  }
  // At an edge, columns and outputs that are not there are not read: they meet not even a NaN.
  auto step = [&](ptrdiff_t k, auto edge) __attribute__((always_inline)) {
    if (fetches) ahead.next();
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      Vec<T> d[M];
#pragma GCC unroll 5
      for (int m = 0; m < M; ++m)
        d[m] = !edge.value || size_t(k - m) < size_t(run.pixels)
                   ? load_filled(dy + (k - m) * a.dy_step + v * lanes, left, T(0))
                   : broadcast(T(0));
#pragma GCC unroll 2
      for (int t = 0; t < U; ++t) {
        const ptrdiff_t column = k * U + t - run.lead;
        if (edge.value && size_t(column) >= size_t(run.present)) continue;
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) {
          const Vec<T> pixel = load_filled(x[r] + column * a.x_step + v * lanes, left, T(0));
#pragma GCC unroll 5
          for (int m = 0; U * m + t < S; ++m)
            if (!edge.value || size_t(k - m) < size_t(run.pixels))
              acc[r][U * m + t][v] = fma(pixel, d[m], acc[r][U * m + t][v]);
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
template <class T, int S, int R, int U, int NV>
void rows_of(const DepthwiseWeight<T>& all, ptrdiff_t r) {
  constexpr int lanes = Vec<T>::lanes, M = (S + U - 1) / U;
  DepthwiseWeight<T> a = all;
  a.x += r, a.out += r;
  Fetch<false> ahead(r == 0 ? a.ahead : DepthwiseAhead());
  const ptrdiff_t strides = a.run.pixels + M - 1;
  for (ptrdiff_t k = 0; k < strides; k += kWeightRun) {
    const ptrdiff_t end = std::min(k + kWeightRun, strides);
    ptrdiff_t c = 0;
    for (; c + NV * lanes <= a.channels; c += NV * lanes)
      columns<T, S, R, U, NV>(a, k, end, c, lanes, ahead);
    row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
      columns<T, S, R, U, 1>(a, k, end, at, left, ahead);
    });
  }
}

template <class T, int S, int U>
void weight_of(const DepthwiseWeight<T>& a) {
  // Sums: eight to twelve, as two ports of four cycles and sixteen registers want.
  const bool crowd = kLine<T> > 1 && a.dy_step * ptrdiff_t(sizeof(T)) % kCrowded == 0;
  ptrdiff_t r = 0;
  if constexpr (S == 3 && kLine<T> > 1)
    for (; crowd && r + 2 <= a.rows; r += 2) rows_of<T, S, 2, U, 2>(a, r);
  if constexpr (S == 3 || S == 5)
    for (constexpr int R = S == 3 ? 3 : 2; !crowd && r + R <= a.rows; r += R)
      rows_of<T, S, R, U, 1>(a, r);
  for (; r < a.rows; ++r) rows_of<T, S, 1, U, S <= 3 ? 4 : 2>(a, r);
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
