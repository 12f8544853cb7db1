// SPDX-License-Identifier: Apache-2.0
// The weight gradient as a batch-reduce product over image rows.
//
//   dw[k, t, j] = sum over pixels of dy[pixel, k] * x[pixel at tap t, j]      j < depth
//
// A tile is MR filters by NR columns under one tap; each output row (n, p) gives one segment: the
// run of q for which the tap lies inside the image. dy is read in place; the
// columns of x that a block of rows needs are packed.
#pragma once
#include <vector>

#include "ops/conv2d/implicit.h"

namespace striate {

template <class T>
struct WeightGrid {
  ptrdiff_t n, p, q;   // output pixels
  const T* dy;         // dense [n, p, q] pixels
  ptrdiff_t dy_pixel;  // elements between them
  Image<const T> x;
  ptrdiff_t in_h, in_w;
  ptrdiff_t step_h, step_w;
  std::vector<Tap> taps;  // b: where its columns begin in a row of dw
  ptrdiff_t depth, filters;
  T* dw;
  ptrdiff_t dw_row;         // elements between filters
  bool accumulate = false;  // dw += instead of dw =
};

template <class T>
void implicit_weight(const WeightGrid<T>& grid);

// The same where every tap lies inside x, for few channels: dw^T, whose columns are the filters, so
// that vectors are full although a tap has few values; then transposed. taps[i].b must be i *
// depth.
template <class T>
void narrow_weight(const WeightGrid<T>& grid);

}  // namespace striate
