// SPDX-License-Identifier: Apache-2.0
// Bound: two loads a multiply-add from L1. Four vectors of channels at a time hide the latency of
// the adds (4 chains of 4 cycles on two ports want 8; the loads are the narrower place).
#include "ops/conv2d/depthwise.h"

namespace striate {
namespace {

template <class T, int NV>
void pixel_strip(const DepthwisePixel<T>& a, ptrdiff_t c, Mask<T> last) {
  constexpr int lanes = Vec<T>::lanes;
  auto get = [&](const T* p, int v) {
    return v == NV - 1 ? load(p + v * lanes, last) : load(p + v * lanes);
  };
  Vec<T> acc[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) acc[v] = broadcast(T(0));
  for (ptrdiff_t t = 0; t < a.taps; ++t) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[v] = fma(get(a.x[t] + c, v), get(a.w[t] + c, v), acc[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    Vec<T> y = a.bias ? acc[v] + get(a.bias + c, v) : acc[v];
    y = max(broadcast(a.low), min(broadcast(a.high), y));
    if (v == NV - 1)
      store(a.out + c + v * lanes, y, last);
    else
      store(a.out + c + v * lanes, y);
  }
}

template <class T, int NV>
void weight_strip(const DepthwiseWeight<T>& a, ptrdiff_t c, Mask<T> last) {
  constexpr int lanes = Vec<T>::lanes;
  auto get = [&](const T* p, int v) {
    return v == NV - 1 ? load(p + v * lanes, last) : load(p + v * lanes);
  };
  Vec<T> acc[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) acc[v] = get(a.out + c, v);
  for (ptrdiff_t i = 0; i < a.pixels; ++i) {
    const T *x = a.x + i * a.x_step + c, *dy = a.dy + i * a.dy_step + c;
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[v] = fma(get(x, v), get(dy, v), acc[v]);
  }
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    if (v == NV - 1)
      store(a.out + c + v * lanes, acc[v], last);
    else
      store(a.out + c + v * lanes, acc[v]);
  }
}

template <class T>
void pixel(const DepthwisePixel<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t c = 0;
  for (; c + 4 * lanes <= a.channels; c += 4 * lanes) pixel_strip<T, 4>(a, c, first<T>(lanes));
  for (; c < a.channels; c += lanes) {
    ptrdiff_t left = a.channels - c;
    pixel_strip<T, 1>(a, c, first<T>(int(left < lanes ? left : lanes)));
  }
}

template <class T>
void weight(const DepthwiseWeight<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t c = 0;
  for (; c + 4 * lanes <= a.channels; c += 4 * lanes) weight_strip<T, 4>(a, c, first<T>(lanes));
  for (; c < a.channels; c += lanes) {
    ptrdiff_t left = a.channels - c;
    weight_strip<T, 1>(a, c, first<T>(int(left < lanes ? left : lanes)));
  }
}

}  // namespace
}  // namespace striate
