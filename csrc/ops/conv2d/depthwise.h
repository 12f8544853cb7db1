// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: every channel has one filter of its own. No reduction over channels, so it
// is bound by memory, and vectorised over channels.
//
// Square filters of 3 or 5 at stride 1 or 2 go by blocks: two pixels of up to four rows of outputs
// are made at once, all channels one vector after the other. Memory is read in its own order, each
// pixel once for all outputs of the block that it meets, and a vector's weights stay in registers:
//
//           x                  outputs
//      . . . . . .             a b         3x3 at stride 1: pixel p meets a, b, c and d, each by a
//      . . p . . .             c d         tap of its own
//      . . . . . .
//
// All other filters go tap by tap, over up to eight pixels of a row that meet the same taps.
//
// Weights and their sums lie [C / channels of a line][tap][channels of a line], so that all taps of
// a vector of channels are near one pointer.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// Channels of a line, and where those of channel c begin in filters of so many taps.
template <class T>
constexpr ptrdiff_t kLineChannels = 64 / ptrdiff_t(sizeof(T));
template <class T>
constexpr ptrdiff_t depthwise_at(ptrdiff_t c, ptrdiff_t taps) {
  return c + c / kLineChannels<T> * kLineChannels<T> * (taps - 1);
}

// Rows of outputs, in blocks of two columns. Block b begins at column x_first + 2 b stride of x and
// out_first + 2 b of the outputs; `spread`, the data gradient at stride 2, at x_first + b:
//
//   out[o][i][c] = clamp(sum of x[r][j][c] * w[tap][tap'][c] + bias[c], low, high)
//
// over taps = r - o * stride and tap' = j - i * stride of the filter, counted from the first row of
// x and a block's first columns; `spread`: filter - 2 + o - 2 r and so on.
template <class T>
struct DepthwiseBlocks {
  ptrdiff_t filter, stride;  // 3 or 5 square, 1 or 2
  bool spread;
  ptrdiff_t outs;                // rows: 1, 2 or depthwise_together; `spread` 2
  const T* const* x;             // depthwise_rows() of them; null beside the image
  T* const* out;                 // [outs]; `spread`: null beside the image
  ptrdiff_t x_columns, columns;  // of a row of x and of outputs
  ptrdiff_t x_first, out_first;
  const T* w;  // as above
  ptrdiff_t channels;
  const T* bias;  // or null
  T low, high;
  bool far;   // no cache holds the images
  bool past;  // out is written past the caches: it and the channels are whole lines
};

// The gradient of weights, of `outs` rows of dy, added to `out`:
//
//   out[r][s][c] += sum over o, i of x[o * stride + r][i * stride + s + x_first][c] * dy[o][i][c]
template <class T>
struct DepthwiseWeightBlocks {
  ptrdiff_t filter, stride, outs;
  const T* const* x;  // depthwise_rows() of them; null beside the image
  const T* dy;        // [outs][columns][channels]
  ptrdiff_t x_columns, columns, x_first;
  T* out;
  ptrdiff_t channels;
  bool far;  // no cache holds the images
};

// How many rows of outputs, or of dy for the weights' gradient, a block has at most, where vectors
// hold so many bytes. Four wait the least for their sums and want 32 registers.
constexpr ptrdiff_t depthwise_together(ptrdiff_t filter, ptrdiff_t stride, ptrdiff_t vector,
                                       bool weight) {
  return vector >= 64 && stride == 1 && (filter == 3 || !weight) ? 4 : 2;
}
// Rows of x that meet so many rows of outputs.
constexpr ptrdiff_t depthwise_rows(ptrdiff_t filter, ptrdiff_t stride, bool spread,
                                   ptrdiff_t outs) {
  return spread ? (filter + 1) / 2 : (outs - 1) * stride + filter;
}
constexpr ptrdiff_t kMostDepthwiseRows = 8, kMostDepthwiseOuts = 4;

// Pixels of a row that meet the same taps:
//
//   out[i][c] = clamp(sum over t of x[t][i * x_step + c] * w[t][c] + bias[c], low, high)
template <class T>
struct DepthwiseTaps {
  ptrdiff_t taps, pixels, filter;  // filter: taps that it has in all
  const T *const *x, *const *w;    // [taps]
  T* out;
  ptrdiff_t x_step, out_step, channels;
  const T* bias;  // or null
  T low, high;
};

// The gradient of the weights of taps that meet the same pixels of a row of dy:
//
//   out[t][c] += sum over i of x[t][i * x_step + c] * dy[i * dy_step + c]
template <class T>
struct DepthwiseWeightTaps {
  ptrdiff_t taps, pixels, filter;
  const T* const* x;  // [taps]
  const T* dy;
  T* const* out;  // [taps]
  ptrdiff_t x_step, dy_step, channels;
};

constexpr ptrdiff_t kDepthwiseRows = 16;  // image rows a part of the weight gradient; fixed

enum class Depthwise {
  depthwise_blocks,
  depthwise_taps,
  depthwise_weight_blocks,
  depthwise_weight_taps
};

#define depthwise_blocks_TYPE(T) DepthwiseBlocks<T>
#define depthwise_taps_TYPE(T) DepthwiseTaps<T>
#define depthwise_weight_blocks_TYPE(T) DepthwiseWeightBlocks<T>
#define depthwise_weight_taps_TYPE(T) DepthwiseWeightTaps<T>
#define ROW(name, T, isa, what) STRIATE_WITH_##isa(void name(const what##_TYPE(T) &);)
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
