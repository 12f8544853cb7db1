// SPDX-License-Identifier: Apache-2.0
// MR pixels by NV vectors of filters, as in GEMM's tile (gemm/microkernel.inl), but pixels lie at
// one distance from each other, so that a few registers point to all. Tiles are low, a first
// layer's have 27 steps, so what is done once a tile counts: sums begin with the bias, and a row of
// outputs is one call.
//
// Bound: a step takes MR * NV / 2 cycles on the ports of multiply-adds beside NV + MR loads from
// L1; a result too large for the caches takes longer to write than to compute (27 steps: 4 bytes
// for 27 multiply-adds), and is written past them.
#include <algorithm>
#include <limits>

#include "ops/conv2d/rows.h"

namespace striate {
namespace {

constexpr int kChains =
    12;  // sums under way that hide the latency of a multiply-add, with some to spare

// Pixels [i * step] for i < M by pointers to every fifth: the others are a scaled index away.
template <class T, int M>
struct Pixels {
  static constexpr int kApart = 5;
  const T* base[(M + kApart - 1) / kApart];
  ptrdiff_t step, three;

  Pixels(const T* x, ptrdiff_t step) : step(step), three(3 * step) {
#pragma GCC unroll 4
    for (int g = 0; g < (M + kApart - 1) / kApart; ++g) base[g] = x + g * kApart * step;
  }
  Vec<T> operator()(int i, ptrdiff_t t) const {
    const T* p = base[i / kApart] + t;
    return broadcast(i % kApart == 3 ? p[three] : p[i % kApart * step]);
  }
};

template <class T, int M, int NV, int NR, bool Full>
void tile(const ConvRow<T>& a, ptrdiff_t q, ptrdiff_t j, const T* panel) {
  constexpr int lanes = Vec<T>::lanes;
  const int filled = int(std::min<ptrdiff_t>(a.width - j, NV * lanes));
  const Mask<T> last = first<T>(filled - (NV - 1) * lanes);
  Vec<T> acc[M][NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    Vec<T> begin = broadcast(T(0));
    if (a.bias) {
      const T* const bias = a.bias + j + v * lanes;
      begin = !Full && v == NV - 1 ? load(bias, last) : load(bias);
    }
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) acc[i][v] = begin;
  }
  T* y = a.y + q * a.y_step + j;
  if (!a.past)
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; v += std::max(64 / int(sizeof(Vec<T>)), 1))
        __builtin_prefetch(y + i * a.y_step + v * lanes, 1);
  for (const RowPair<T>*pair = a.pairs, *end = pair + a.count; pair != end; ++pair) {
    const Pixels<T, M> x(pair->x + q * a.step, a.step);
    const T* b = panel + pair->row * NR;
    for (ptrdiff_t t = 0; t < a.run; ++t, b += NR) {
      Vec<T> bv[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) bv[v] = load(b + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) {
        const Vec<T> pixel = x(i, t);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[i][v] = fma(pixel, bv[v], acc[i][v]);
      }
    }
  }
  const T no_low = -std::numeric_limits<T>::infinity();
  if (a.low > no_low || a.high < -no_low) {
    const Vec<T> low = broadcast(a.low), high = broadcast(a.high);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[i][v] = max(low, min(high, acc[i][v]));
  }
  if (Full && a.past) {
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) stream(y + i * a.y_step + v * lanes, acc[i][v]);
    return;
  }
  // What a vector has too much lies in pixels to the right, which are written later. (A masked
  // store takes AMD's cores 20 times as long.)
  const bool whole = Full || (j == 0 && a.y_step == a.width &&
                              (a.pixels - q - M) * a.y_step >= NV * lanes - filled);
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      T* const p = y + i * a.y_step + v * lanes;
      v == NV - 1 && !whole ? store(p, acc[i][v], last) : store(p, acc[i][v]);
    }
}

// `tiles` of m <= M pixels from q on, by the fewest vectors that hold the filters from j on.
template <class T, int M, int NV, int NR>
void tiles_of_size(const ConvRow<T>& a, ptrdiff_t m, ptrdiff_t q, ptrdiff_t tiles, ptrdiff_t j,
                   const T* panel) {
  if (m == M) {
    const bool full = a.width - j >= NV * Vec<T>::lanes;
    for (; tiles > 0; --tiles, q += M)
      full ? tile<T, M, NV, NR, true>(a, q, j, panel) : tile<T, M, NV, NR, false>(a, q, j, panel);
    return;
  }
  if constexpr (M > 1) tiles_of_size<T, M - 1, NV, NR>(a, m, q, tiles, j, panel);
}

// A panel in tiles whose heights differ by one at most.
template <class T, int MR, int NV, int NR>
void panel_of_width(const ConvRow<T>& a, ptrdiff_t j, const T* panel) {
  if constexpr (NV > 1) {
    // One vector is one chain of sums a pixel, and wants more of them.
    constexpr int M = NV == 2 && MR < kChains ? kChains : MR;
    if (a.width - j <= (NV - 1) * Vec<T>::lanes)
      return panel_of_width<T, M, NV - 1, NR>(a, j, panel);
  }
  const ptrdiff_t tiles = (a.pixels + MR - 1) / MR, m = a.pixels / tiles;
  const ptrdiff_t higher = a.pixels - tiles * m;
  if (higher > 0) tiles_of_size<T, MR, NV, NR>(a, m + 1, 0, higher, j, panel);
  tiles_of_size<T, MR, NV, NR>(a, m, higher * (m + 1), tiles - higher, j, panel);
}

template <class T, int MR, int NV>
void row(const ConvRow<T>& a) {
  constexpr int NR = NV * Vec<T>::lanes;
  const T* panel = a.panels;
  for (ptrdiff_t j = 0; j < a.width; j += NR, panel += a.panel)
    panel_of_width<T, MR, NV, NR>(a, j, panel);
  if (a.past) drain();
}

}  // namespace

#define ROW(name, T, isa, mr, nr) \
  HERE_##isa(void name(const ConvRow<T>& a) { row<T, mr, nr / Vec<T>::lanes>(a); })
#include "ops/conv2d/rows_kernels.inc"
#undef ROW

}  // namespace striate
