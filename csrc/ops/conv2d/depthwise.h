// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: every channel has one filter of its own. No reduction over channels, so it
// is bound by memory, and vectorised over channels.
//
// A line of channels slides along a row: each pixel of x is read once and meets all columns of the
// filter, in the sums of the outputs that it is a part of. Where several rows of outputs are made
// at once it meets those of all.
//
//            x   . . . . k . . .      columns 0, 1, 2 of the filter meet pixel k
//                    | | |
//          sums      2 1 0            in outputs k - 2, which is then written, k - 1 and k
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// Columns of x beside each other: `columns` + (pixels - 1) * stride of them belong to a run of
// outputs, from `lead` on `present` lie in the image; the others count as zeros, and are not read.
struct DepthwiseRun {
  ptrdiff_t pixels, columns, stride, lead, present;
};

// The rows that the next call works on, asked for in the order of memory, so many lines a pixel:
// the kernels themselves take a line of channels of one pixel after the other, which the hardware
// does not foresee.
struct DepthwiseAhead {
  const void *x = nullptr, *y = nullptr;  // y: the outputs or their gradient
  ptrdiff_t x_lines = 0, y_lines = 0;
  bool far = false;  // no cache holds the images
};

// Rows of outputs under a filter of `rows` by 1 to kMostColumns taps, stride 1 or 2:
//
//   out[o][i][c] = clamp(sum over r, s of x[o * stride + r][i * stride + s - lead][c] *
//                  w[r][s * w_column + c] + bias[c], low, high)    o < outs, i < pixels, c <
//                  channels
template <class T>
struct DepthwisePixels {
  DepthwiseRun run;
  ptrdiff_t rows, outs;  // 1, 2 or 4 outs, up to depthwise_together
  const T* const* x;     // [rows + (outs - 1) * stride], at the first column that is present
  const T* const* w;     // [rows]
  T* const* out;         // [outs]
  ptrdiff_t x_step, w_column, out_step, channels;
  const T* bias;  // or null
  T low, high;
  bool past;  // out is written past the caches: it, out_step and the channels are whole lines
  DepthwiseAhead ahead;
};
template <class T>
using DepthwisePixelFn = void(const DepthwisePixels<T>&);

// How many rows of outputs the kernel takes at once, at most.
constexpr ptrdiff_t depthwise_together(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t stride) {
  return rows == 3 && columns == 3 && stride <= 2 ? 4 : 1;
}

constexpr ptrdiff_t kMostColumns = 5;
constexpr ptrdiff_t kDepthwiseRows = 16;  // image rows a part of the weight gradient; fixed

// The gradient of weights, of `outs` rows of dy, as many as depthwise_together allows:
//
//   out[r][s][c] += sum over o, i of x[o * stride + r][i * stride + s - lead][c] * dy[o][i][c]
template <class T>
struct DepthwiseWeight {
  DepthwiseRun run;
  ptrdiff_t rows, outs;
  const T* const* x;  // [rows + (outs - 1) * stride], at the first column that is present
  T* const* out;      // [rows]
  const T* dy;
  ptrdiff_t x_step, dy_step, dy_row, out_column, channels;
  DepthwiseAhead ahead;
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
