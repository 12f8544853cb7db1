// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: every channel has one filter of its own. No reduction over channels, so it
// is bound by loads, and vectorised over channels.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// A run of pixels under the same taps, `rows` of them by 1, 2, 3 or 5 columns:
//
//   out[i][c] = clamp(sum over r, s of x[r][i * x_step + s * x_column + c] * w[r][s * w_column + c]
//                     + bias[c], low, high)                            i < pixels, c < channels
//
// The pixels that lie next_row elements after those of the last row, and once more for each of
// next_rows, are asked for: they come from memory for the outputs below.
template <class T>
struct DepthwisePixels {
  const T* const* x;  // [rows] first pixels
  const T* const* w;  // [rows] weights
  ptrdiff_t rows, columns, pixels, x_step, x_column, w_column, out_step, channels;
  ptrdiff_t next_row, next_rows;
  const T* bias;  // or null
  T low, high;
  T* out;
  bool past;  // out is written past the caches: it, out_step and the channels are whole vectors
};
template <class T>
using DepthwisePixelFn = void(const DepthwisePixels<T>&);

constexpr ptrdiff_t kMostColumns = 5;
constexpr ptrdiff_t kDepthwiseRows = 16;  // image rows a part of the weight gradient; fixed

// The gradient of weights side by side in a row of the filter, columns <= kMostColumns of them:
//
//   out[s][c] += sum over i < pixels of x[i * x_step + s * x_column + c] * dy[i * dy_step + c]
template <class T>
struct DepthwiseWeight {
  const T *x, *dy;
  ptrdiff_t x_step, x_column, dy_step, pixels, columns, channels;
  T* out;
  ptrdiff_t out_column;
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
