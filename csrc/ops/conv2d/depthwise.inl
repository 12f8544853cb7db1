// SPDX-License-Identifier: Apache-2.0
// Pixels: eight side by side by a vector of channels, or four by two: eight sums, as two ports of
// four cycles want. The weights of a row of the filter lie in registers; at stride 1 a pixel of x
// that lies there too serves all columns. Weights: the columns of a row of the filter times
// vectors, again eight sums and more.
//
// Bound, for three columns: loads from L1, 0.54 a multiply-add for pixels at stride 1 (0.75 for
// four by two), 1.13 at others, 1.33 for weights. From L2 and beyond, memory: 9 multiply-adds for 8
// bytes. Twelve by one was within 3 % of eight by one.
#include <cstdint>
#include <limits>

#include "ops/conv2d/depthwise.h"
#include "simd/row.h"

namespace striate {
namespace {

// Pixels so many bytes apart share four sets of L1, which hold less than the 30 lines of eight
// outputs beside what is written: the second vector of a line would come from L2 again.
constexpr ptrdiff_t kConflict = 1024;
constexpr ptrdiff_t kWeightRun = 32;  // pixels between two meetings with the sums in memory

// P pixels from i on by NV vectors of channels from c on, the last of `left` elements. Side:
// columns of x lie as far apart as pixels.
template <class T, int S, bool Side, int P, int NV>
inline __attribute__((always_inline)) void strip(const DepthwisePixels<T>& a, ptrdiff_t i,
                                                 ptrdiff_t c, ptrdiff_t left) {
  constexpr int lanes = Vec<T>::lanes;
  const ptrdiff_t x_step = a.x_step, first = i * x_step + c;
  Vec<T> acc[P][NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    Vec<T> begin = broadcast(T(0));
    if (a.bias) begin = load_filled(a.bias + c + v * lanes, left, T(0));
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) acc[p][v] = begin;
  }
  for (ptrdiff_t r = 0; r < a.rows; ++r) {
    const T *x = a.x[r] + first, *w = a.w[r] + c;
    Vec<T> weight[S][NV];
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        weight[s][v] = load_filled(w + s * a.w_column + v * lanes, left, T(0));
    if constexpr (Side) {
#pragma GCC unroll 16
      for (int j = 0; j < P + S - 1; ++j, x += x_step)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const Vec<T> pixel = load_filled(x + v * lanes, left, T(0));
#pragma GCC unroll 5
          for (int s = 0; s < S; ++s)
            if (j - s >= 0 && j - s < P) acc[j - s][v] = fma(pixel, weight[s][v], acc[j - s][v]);
        }
    } else {
#pragma GCC unroll 5
      for (int s = 0; s < S; ++s, x += a.x_column)
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
          for (int v = 0; v < NV; ++v)
            acc[p][v] =
                fma(load_filled(x + p * x_step + v * lanes, left, T(0)), weight[s][v], acc[p][v]);
    }
  }
  for (ptrdiff_t r = 1; r <= a.next_rows; ++r) {
    const uintptr_t next = reinterpret_cast<uintptr_t>(a.x[a.rows - 1]) +
                           sizeof(T) * uintptr_t(r * a.next_row + first);
    for (ptrdiff_t at = 0; at < P * x_step; at += a.channels)
      __builtin_prefetch(reinterpret_cast<const void*>(next + sizeof(T) * uintptr_t(at)));
  }
  const T no_low = -std::numeric_limits<T>::infinity();
  if (a.low > no_low || a.high < -no_low) {
    const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[p][v] = max(low, min(high, acc[p][v]));
  }
  T* out = a.out + i * a.out_step + c;
  if (a.past) {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p, out += a.out_step)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) stream(out + v * lanes, acc[p][v]);
  } else {
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p, out += a.out_step)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) store_first(out + v * lanes, acc[p][v], left);
  }
}

template <class T, int S, bool Side, int P, int NV>
inline __attribute__((always_inline)) void strips(const DepthwisePixels<T>& a, ptrdiff_t i) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t c = 0;
  for (; c + NV * lanes <= a.channels; c += NV * lanes) strip<T, S, Side, P, NV>(a, i, c, lanes);
  row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
    strip<T, S, Side, P, 1>(a, i, at, left);
  });
}

// By value: what is stored might lie in `a` for all that the compiler knows.
template <class T, int S, bool Side>
void pixels_of(const DepthwisePixels<T> a) {
  ptrdiff_t i = 0;
  if (Side && a.x_step * ptrdiff_t(sizeof(T)) % kConflict != 0)
    for (; i + 8 <= a.pixels; i += 8) strips<T, S, Side, 8, 1>(a, i);
  for (; i + 4 <= a.pixels; i += 4) strips<T, S, Side, 4, 2>(a, i);
  if (i + 2 <= a.pixels) strips<T, S, Side, 2, 4>(a, i), i += 2;
  if (i < a.pixels) strips<T, S, false, 1, 4>(a, i);
  if (a.past) drain();
}

template <class T>
void pixel(const DepthwisePixels<T>& a) {
  const bool side = a.x_step == a.x_column;
  switch (a.columns) {
    case 1:
      return pixels_of<T, 1, false>(a);
    case 2:
      return side ? pixels_of<T, 2, true>(a) : pixels_of<T, 2, false>(a);
    case 3:
      return side ? pixels_of<T, 3, true>(a) : pixels_of<T, 3, false>(a);
    case 5:
      return side ? pixels_of<T, 5, true>(a) : pixels_of<T, 5, false>(a);
  }
}

template <class T, int S, int NV>
inline __attribute__((always_inline)) void columns(const DepthwiseWeight<T>& a, ptrdiff_t begin,
                                                   ptrdiff_t end, ptrdiff_t c, ptrdiff_t left) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> acc[S][NV];
#pragma GCC unroll 5
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
      acc[s][v] = load_filled(a.out + s * a.out_column + c + v * lanes, left, T(0));
  const T *x = a.x + begin * a.x_step + c, *dy = a.dy + begin * a.dy_step + c;
  for (ptrdiff_t i = begin; i < end; ++i, x += a.x_step, dy += a.dy_step) {
    Vec<T> d[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) d[v] = load_filled(dy + v * lanes, left, T(0));
#pragma GCC unroll 5
    for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        acc[s][v] = fma(load_filled(x + s * a.x_column + v * lanes, left, T(0)), d[v], acc[s][v]);
  }
#pragma GCC unroll 5
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
      store_first(a.out + s * a.out_column + c + v * lanes, acc[s][v], left);
}

template <class T, int S>
void weight_of(const DepthwiseWeight<T>& a) {
  constexpr int lanes = Vec<T>::lanes, NV = S <= 3 ? 4 : 2;
  for (ptrdiff_t i = 0; i < a.pixels; i += kWeightRun) {
    const ptrdiff_t end = i + kWeightRun < a.pixels ? i + kWeightRun : a.pixels;
    ptrdiff_t c = 0;
    for (; c + NV * lanes <= a.channels; c += NV * lanes) columns<T, S, NV>(a, i, end, c, lanes);
    row_each<T>(c, a.channels, [&](ptrdiff_t at, ptrdiff_t left) __attribute__((always_inline)) {
      columns<T, S, 1>(a, i, end, at, left);
    });
  }
}

template <class T>
void weight(const DepthwiseWeight<T>& a) {
  switch (a.columns) {
    case 1:
      return weight_of<T, 1>(a);
    case 2:
      return weight_of<T, 2>(a);
    case 3:
      return weight_of<T, 3>(a);
    case 4:
      return weight_of<T, 4>(a);
    case 5:
      return weight_of<T, 5>(a);
  }
}
static_assert(kMostColumns == 5);

}  // namespace
}  // namespace striate
