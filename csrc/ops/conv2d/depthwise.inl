// SPDX-License-Identifier: Apache-2.0
// Bound in caches, 3x3: L3, which gives x once and takes the outputs once. Channels are innermost,
// so that lines come in the order of memory, as the hardware foresees it, and in whole pages. A
// line of channels that slides along a row, one pass a row for each, loaded a third less from L1
// and took 1.2 to 2.6 times as long (Zen 5): 64-byte steps of a pixel apart are what L3 gives
// worst.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/blocks.h"
#include "ops/conv2d/depthwise.h"
#include "simd/row.h"

namespace striate {
namespace {

template <class T>
constexpr ptrdiff_t kVector = Vec<T>::lanes * ptrdiff_t(sizeof(T));
template <class T>
constexpr int kRegisters = kVector<T> >= 64 ? 32 : 16;

// How a block's pixels and outputs meet along an axis: pixel x and output `out`, of `outs` rows or
// two columns, by tap(out, x); -1: they do not.
template <int K, int U, int O>
struct Gather {
  static constexpr int taps = K, outs = O, step = 2 * U;  // columns of x from block to block
  static constexpr int rows = int(depthwise_rows(K, U, false, O));
  static constexpr int columns = int(depthwise_rows(K, U, false, 2));
  static constexpr int shared = rows - O * U;  // rows of x with the block above
  static constexpr int tap(int out, int x) {
    const int t = x - out * U;
    return t >= 0 && t < K ? t : -1;
  }
  static constexpr bool is_new(int out) { return out == 0; }  // whether it meets its tap first
};
template <int K>
struct Spread {
  static constexpr int taps = K, outs = 2, step = 1;
  static constexpr int rows = int(depthwise_rows(K, 2, true, 2)), columns = rows;
  static constexpr int shared = rows - 1;
  static constexpr int tap(int out, int x) {
    const int t = K - 2 + out - 2 * x;
    return t >= 0 && t < K ? t : -1;
  }
  static constexpr bool is_new(int) { return true; }
};

// p + n, of which null and what lies beside the array are not read.
template <class T>
T* offset(T* p, ptrdiff_t n) {
  return reinterpret_cast<T*>(uintptr_t(p) + uintptr_t(n) * sizeof(T));
}

// The same, which the compiler takes for a new pointer: else it keeps one for each of a block's
// pixels, and makes them anew for every block (8 x 16 x 112 x 112 1.3 times as long).
template <class T>
inline T* hidden(T* p, ptrdiff_t n) {
  p = offset(p, n);
  asm("" : "+r"(p));
  return p;
}

// Rows of pixels, null where there is no row, from a column on.
template <class T, int R>
struct Rows {
  const T* const* x;
  const T* row[R];            // at the column; not to be read where there is no row
  ptrdiff_t column, columns;  // the first, and how many a row has
  Rows(const T* const* x, ptrdiff_t column, ptrdiff_t columns, ptrdiff_t channels)
      : x(x), column(column), columns(columns) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) row[r] = offset(x[r], column * channels);
  }
  bool whole() const {
    return std::all_of(x, x + R, [](const T* x) { return x != nullptr; });
  }
  bool has(int r, int s) const { return x[r] && size_t(column + s) < size_t(columns); }
};

// Calls f(begin, end) for runs of channels whose weights, taps of each, lie in L1 beside the
// pixels: else every block has all of them from L2 (8 x 672 x 14 x 14 under 5x5 at stride 2: 2
// times as long).
template <class T, class F>
void each_run(ptrdiff_t channels, ptrdiff_t taps, F&& f) {
  constexpr ptrdiff_t bytes = 16384, line = kLineChannels<T>;
  const ptrdiff_t lines = ceil_div(channels, line), most = bytes / (64 * taps);
  const ptrdiff_t run = ceil_div(lines, ceil_div(lines, most)) * line;
  for (ptrdiff_t c = 0; c < channels; c += run) f(c, std::min(c + run, channels));
}

// Channels [begin, end) of the block whose outputs begin at column `first`. At an edge, pixels that
// are not there are not read, and outputs that are not there not written.
template <class Shape, bool Edge, class T>
inline __attribute__((always_inline)) void block(const DepthwiseBlocks<T> a,
                                                 const Rows<T, Shape::rows>& x, ptrdiff_t first,
                                                 ptrdiff_t begin, ptrdiff_t end) {
  constexpr int K = Shape::taps, O = Shape::outs;
  const ptrdiff_t channels = a.channels;
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  T* out[O];
#pragma GCC unroll 4
  for (int o = 0; o < O; ++o) out[o] = offset(a.out[o], first * channels);
  row_each<T>(begin, end, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    const Vec<T> bias = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
    constexpr auto tap = Shape::tap;
    const T* const w = a.w + depthwise_at<T>(c, K * K);
    Vec<T> weight[K][K], sum[O][2];
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o) sum[o][0] = sum[o][1] = bias;
    if (a.far && !Edge) {  // what the next block reads anew
      constexpr int fresh = Shape::rows - Shape::shared;
#pragma GCC unroll 8
      for (int r = 0; r < fresh; ++r) {
        const T* at = hidden(x.row[Shape::shared + r], Shape::columns * channels + c);
#pragma GCC unroll 4
        for (int s = 0; s < Shape::step; ++s) __builtin_prefetch(at + s * channels);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < Shape::rows; ++r) {
#pragma GCC unroll 4
      for (int o = 0; o < O; ++o)
#pragma GCC unroll 5
        for (int s = 0; s < K; ++s)
          if (tap(o, r) >= 0 && Shape::is_new(o))
            weight[tap(o, r)][s] =
                load_filled(w + (tap(o, r) * K + s) * kLineChannels<T>, left, T(0));
      const T* at = hidden(x.row[r], c);
#pragma GCC unroll 8
      for (int s = 0; s < Shape::columns; ++s) {
        if (s > 0 && s % 3 == 0) at = hidden(at, 3 * channels);
        if (Edge && !x.has(r, s)) continue;
        const Vec<T> pixel = load_filled(at + s % 3 * channels, left, T(0));
#pragma GCC unroll 4
        for (int o = 0; o < O; ++o)
#pragma GCC unroll 2
          for (int m = 0; m < 2; ++m)
            if (tap(o, r) >= 0 && tap(m, s) >= 0)
              sum[o][m] = fma(pixel, weight[tap(o, r)][tap(m, s)], sum[o][m]);
      }
    }
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o)
#pragma GCC unroll 2
      for (int m = 0; m < 2; ++m) {
        if (Edge && !(a.out[o] && size_t(first + m) < size_t(a.columns))) continue;
        T* const to = out[o] + m * channels + c;
        const Vec<T> y = max(low, min(high, sum[o][m]));
        if (a.past)
          stream(to, y);
        else
          store_first(to, y, left);
      }
  });
}

template <class Shape, class T>
void blocks_of(const DepthwiseBlocks<T>& a) {
  const bool rows = std::all_of(a.out, a.out + Shape::outs, [](T* o) { return o != nullptr; }) &&
                    Rows<T, Shape::rows>(a.x, 0, a.x_columns, a.channels).whole();
  each_run<T>(a.channels, Shape::taps * Shape::taps, [&](ptrdiff_t begin, ptrdiff_t end) {
    ptrdiff_t column = a.x_first;
    for (ptrdiff_t first = a.out_first; first < a.columns; first += 2, column += Shape::step) {
      const Rows<T, Shape::rows> x(a.x, column, a.x_columns, a.channels);
      if (rows && column >= 0 && column + Shape::columns <= a.x_columns && first >= 0 &&
          first + 2 <= a.columns)
        block<Shape, false>(a, x, first, begin, end);
      else
        block<Shape, true>(a, x, first, begin, end);
    }
  });
  if (a.past) drain();
}

template <int K, int U, class T>
void rows_of(const DepthwiseBlocks<T>& a) {
  if constexpr (depthwise_together(K, U, kVector<T>, false) == 4)
    if (a.outs == 4) return blocks_of<Gather<K, U, 4>>(a);
  if (a.outs == 2) return blocks_of<Gather<K, U, 2>>(a);
  blocks_of<Gather<K, U, 1>>(a);
}

template <class T>
void blocks(const DepthwiseBlocks<T>& a) {
  if (a.filter == 3)
    return a.spread ? blocks_of<Spread<3>>(a) : a.stride == 1 ? rows_of<3, 1>(a) : rows_of<3, 2>(a);
  a.spread ? blocks_of<Spread<5>>(a) : a.stride == 1 ? rows_of<5, 1>(a) : rows_of<5, 2>(a);
}

// P pixels of a row from pixel i on.
template <int P, class T>
inline __attribute__((always_inline)) void pixels(const DepthwiseTaps<T> a, ptrdiff_t i) {
  const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    const ptrdiff_t w = depthwise_at<T>(c, a.filter);
    Vec<T> sum[P];
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      sum[p] = a.bias ? load_filled(a.bias + c, left, T(0)) : broadcast(T(0));
    for (ptrdiff_t t = 0; t < a.taps; ++t) {
      const Vec<T> weight = load_filled(a.w[t] + w, left, T(0));
      const T* const x = a.x[t] + i * a.x_step + c;
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
        sum[p] = fma(load_filled(x + p * a.x_step, left, T(0)), weight, sum[p]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
      store_first(a.out + (i + p) * a.out_step + c, max(low, min(high, sum[p])), left);
  });
}

// The last four may have been made before.
template <class T>
void taps(const DepthwiseTaps<T>& a) {
  ptrdiff_t i = 0;
  for (; i + 8 <= a.pixels; i += 8) pixels<8>(a, i);
  if (i + 4 <= a.pixels) pixels<4>(a, i), i += 4;
  if (i < a.pixels && a.pixels >= 4)
    pixels<4>(a, a.pixels - 4);
  else
    for (; i < a.pixels; ++i) pixels<1>(a, i);
}

// Adds to the sums of rows [Base, Base + Height) of the filter.
template <int K, int U, int Base, int Height, bool Edge, int O, int M, class T>
inline __attribute__((always_inline)) void weight_sums(
    const DepthwiseWeightBlocks<T>& a, ptrdiff_t c, ptrdiff_t left,
    const Rows<T, depthwise_rows(K, U, false, O)>& x, const Vec<T> (&dy)[O][M]) {
  T* const out = a.out + depthwise_at<T>(c, K * K) + Base * K * kLineChannels<T>;
  Vec<T> sum[Height][K];
#pragma GCC unroll 5
  for (int r = 0; r < Height; ++r)
#pragma GCC unroll 5
    for (int s = 0; s < K; ++s)
      sum[r][s] = load_filled(out + (r * K + s) * kLineChannels<T>, left, T(0));
#pragma GCC unroll 8
  for (int r = 0; r < (O - 1) * U + Height; ++r) {
    const T* at = hidden(x.row[Base + r], c);
#pragma GCC unroll 8
    for (int s = 0; s < (M - 1) * U + K; ++s) {
      if (s > 0 && s % 3 == 0) at = hidden(at, 3 * a.channels);
      if (Edge && !x.has(Base + r, s)) continue;
      const Vec<T> pixel = load_filled(at + s % 3 * a.channels, left, T(0));
#pragma GCC unroll 4
      for (int o = 0; o < O; ++o)
#pragma GCC unroll 2
        for (int m = 0; m < M; ++m) {
          const int i = r - o * U, t = s - m * U;
          if (i >= 0 && i < Height && t >= 0 && t < K) sum[i][t] = fma(pixel, dy[o][m], sum[i][t]);
        }
    }
  }
#pragma GCC unroll 5
  for (int r = 0; r < Height; ++r)
#pragma GCC unroll 5
    for (int s = 0; s < K; ++s) store_first(out + (r * K + s) * kLineChannels<T>, sum[r][s], left);
}

// Adds what channels [begin, end) of M columns of O rows of dy from column `first` on meet, as
// many rows of the filter at a time as have registers for their sums.
template <int K, int U, int O, int M, bool Edge, class T>
inline __attribute__((always_inline)) void weight_block(
    const DepthwiseWeightBlocks<T> a, const Rows<T, depthwise_rows(K, U, false, O)>& x,
    ptrdiff_t first, ptrdiff_t begin, ptrdiff_t end) {
  constexpr int fit = (kRegisters<T> - O * M - 2) / K, held = fit < K ? fit : K;
  static_assert(held > 0 && 3 * held >= K, "rows of the filter by at most three parts");
  const ptrdiff_t channels = a.channels, row = a.columns * channels;
  const T* const dy = a.dy + first * channels;
  row_each<T>(begin, end, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    Vec<T> d[O][M];
#pragma GCC unroll 4
    for (int o = 0; o < O; ++o)
#pragma GCC unroll 2
      for (int m = 0; m < M; ++m)
        d[o][m] = load_filled(dy + o * row + m * channels + c, left, T(0));
    if (a.far && !Edge) {  // what the next block reads anew
#pragma GCC unroll 4
      for (int o = 0; o < O; ++o)
#pragma GCC unroll 2
        for (int m = 0; m < M; ++m) {
          __builtin_prefetch(dy + o * row + (m + M) * channels + c);
#pragma GCC unroll 4
          for (int u = 0; u < U * U; ++u)
            __builtin_prefetch(x.row[K - U + o * U + u / U] +
                               ((M - 1) * U + K + m * U + u % U) * channels + c);
        }
    }
    auto part = [&](auto base) __attribute__((always_inline)) {
      constexpr int b = decltype(base)::value, height = K - b < held ? K - b : held;
      if constexpr (height > 0) weight_sums<K, U, b, height, Edge>(a, c, left, x, d);
    };
    part(std::integral_constant<int, 0>());
    part(std::integral_constant<int, held>());
    part(std::integral_constant<int, 2 * held>());
  });
}

template <int K, int U, int O, class T>
void weight_rows(const DepthwiseWeightBlocks<T>& a) {
  using X = Rows<T, depthwise_rows(K, U, false, O)>;
  constexpr ptrdiff_t columns = U + K;
  const bool rows = X(a.x, 0, a.x_columns, a.channels).whole();
  each_run<T>(a.channels, K * K, [&](ptrdiff_t begin, ptrdiff_t end) {
    ptrdiff_t column = a.x_first, first = 0;
    for (; first + 2 <= a.columns; first += 2, column += 2 * U) {
      const X x(a.x, column, a.x_columns, a.channels);
      if (rows && column >= 0 && column + columns <= a.x_columns)
        weight_block<K, U, O, 2, false>(a, x, first, begin, end);
      else
        weight_block<K, U, O, 2, true>(a, x, first, begin, end);
    }
    if (first < a.columns)
      weight_block<K, U, O, 1, true>(a, X(a.x, column, a.x_columns, a.channels), first, begin, end);
  });
}

template <int K, int U, class T>
void weight_of(const DepthwiseWeightBlocks<T>& a) {
  if constexpr (depthwise_together(K, U, kVector<T>, true) == 4)
    if (a.outs == 4) return weight_rows<K, U, 4>(a);
  if (a.outs == 2) return weight_rows<K, U, 2>(a);
  weight_rows<K, U, 1>(a);
}

template <class T>
void weight_blocks(const DepthwiseWeightBlocks<T>& a) {
  if (a.filter == 3) return a.stride == 1 ? weight_of<3, 1>(a) : weight_of<3, 2>(a);
  a.stride == 1 ? weight_of<5, 1>(a) : weight_of<5, 2>(a);
}

// Taps [t, t + G) over P pixels from pixel i on.
template <int G, int P, class T>
inline __attribute__((always_inline)) void weight_pixels(const DepthwiseWeightTaps<T> a,
                                                         ptrdiff_t t, ptrdiff_t i) {
  const T *const dy = a.dy + i * a.dy_step, *x[G];
  T* out[G];
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) x[g] = a.x[t + g] + i * a.x_step, out[g] = a.out[t + g];
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) __attribute__((always_inline)) {
    const ptrdiff_t at = depthwise_at<T>(c, a.filter);
    Vec<T> d[P];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) d[p] = load_filled(dy + p * a.dy_step + c, left, T(0));
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g) {
      Vec<T> sum = load_filled(out[g] + at, left, T(0));
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
        sum = fma(load_filled(x[g] + p * a.x_step + c, left, T(0)), d[p], sum);
      store_first(out[g] + at, sum, left);
    }
  });
}

template <int P, class T>
void weight_taps_of(const DepthwiseWeightTaps<T>& a, ptrdiff_t i) {
  ptrdiff_t t = 0;
  for (; t + 8 <= a.taps; t += 8) weight_pixels<8, P>(a, t, i);
  for (; t + 3 <= a.taps; t += 3) weight_pixels<3, P>(a, t, i);
  for (; t < a.taps; ++t) weight_pixels<1, P>(a, t, i);
}

template <class T>
void weight_taps(const DepthwiseWeightTaps<T>& a) {
  ptrdiff_t i = 0;
  for (; i + 4 <= a.pixels; i += 4) weight_taps_of<4>(a, i);
  for (; i < a.pixels; ++i) weight_taps_of<1>(a, i);
}

}  // namespace
}  // namespace striate
