// SPDX-License-Identifier: Apache-2.0
// Convolution as a matrix product whose left factor is never built.
//
//   out[pixel, j] = f(bias[j] + sum over taps t, channels c of in[pixel at t, c] * B_t[c, j])
//
// A tile is MR output pixels by NR output channels; a row of its left factor is a pointer to the
// input pixel under the tap, or to a row of zeros where the tap lies outside the image. Forward
// convolution is one grid; the data gradient of a strided one is a grid for each residue class of
// the input pixel, since every class meets its own taps (and only those).
#pragma once
#include <vector>

#include "ops/gemm/gemm.h"

namespace striate {

struct Tap {
  ptrdiff_t h, w;       // input pixel under it: (row * step_h + h, col * step_w + w)
  ptrdiff_t b;          // its first row in the packed panels of B
  ptrdiff_t plane = 0;  // elements from the grid's input plane to the tap's (3-D convolution)
};

// The taps that meet the input pixels of residue class `first` along one axis, as (filter index,
// input offset): pixel first + i * stride reads row i + offset of the output gradient.
struct Meeting {
  ptrdiff_t filter, offset;
};
std::vector<Meeting> meetings(ptrdiff_t first, ptrdiff_t pad, ptrdiff_t filter, ptrdiff_t dilation,
                              ptrdiff_t stride);

// One image-shaped array, channels-last: strides in elements.
template <class T>
struct Image {
  T* data;
  ptrdiff_t image, row, pixel;
};

// Dense images of H by W pixels of C channels.
template <class T>
Image<T> image(T* data, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c) {
  return {data, h * w * c, w * c, c};
}

// The epilogue for the channels from `first` on.
template <class T>
Epilogue<T> of_group(Epilogue<T> e, ptrdiff_t first) {
  if (e.bias) e.bias += first, e.bias_axis = BiasAxis::column;
  return e;
}

template <class T>
struct PixelGrid {
  ptrdiff_t n, rows, cols;  // output pixels
  Image<T> out;
  Image<const T> in;
  ptrdiff_t in_h, in_w;      // bounds of the input; a tap outside reads zeros
  ptrdiff_t step_h, step_w;  // input pixels an output pixel
  ptrdiff_t depth;           // values under a tap: channels, or a run of them
  ptrdiff_t width;           // output channels
  std::vector<Tap> taps;
  const T* b;  // panels [width / NR][b_rows][NR]
  ptrdiff_t b_rows;
  Epilogue<T> epilogue;  // bias a column
};

template <class T>
void implicit_gemm(const PixelGrid<T>& grid);

}  // namespace striate
