// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: every channel has one filter of its own. No reduction over channels, so it
// is bound by loads, and vectorised over channels.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// out[c] = min(max(sum over t < taps of x[t][c] * w[t][c] + bias[c], low), high)      c < channels
template <class T>
struct DepthwisePixel {
  const T* const* x;  // [taps] pixels
  const T* const* w;  // [taps] weights
  ptrdiff_t taps, channels;
  const T* bias;  // or null
  T low, high;
  T* out;
};
template <class T>
using DepthwisePixelFn = void(const DepthwisePixel<T>&);

// out[c] += sum over i < pixels of x[i * x_step + c] * dy[i * dy_step + c]          c < channels
template <class T>
struct DepthwiseWeight {
  const T *x, *dy;
  ptrdiff_t x_step, dy_step, pixels, channels;
  T* out;
};
template <class T>
using DepthwiseWeightFn = void(const DepthwiseWeight<T>&);

enum class Depthwise { depthwise_pixel, depthwise_weight };

#define depthwise_pixel_TYPE(T) DepthwisePixelFn<T>
#define depthwise_weight_TYPE(T) DepthwiseWeightFn<T>
#define ROW(name, T, isa, what) STRIATE_WITH_##isa(what##_TYPE(T) name;)
#include "ops/conv2d/kernels.inc"
#undef ROW

// The three passes; w and dw are [C, R, S].
template <class T>
void depthwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& epilogue, T* y);
template <class T>
void depthwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& epilogue,
                        T* dx);
template <class T>
void depthwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw);

}  // namespace striate
