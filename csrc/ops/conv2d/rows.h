// SPDX-License-Identifier: Apache-2.0
// Convolution at stride 1 or more, and its data gradient at stride 1, where the S * C values under
// a row of the filter are neighbours: a row of outputs is made from a few runs of the input.
//
//   y[q][k] = f(bias[k] + sum over met filter rows, t < run of
//                             x_row[q * step + t] * b_row[t][k])              q < Q, k < K
//
// run = S * C, step = stride * C. Rows of the image that padding makes longer are copied into rows
// of zeros first, a task's at a time. For the layers of few channels that networks begin with.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// A row of the filters over a row of the image.
template <class T>
struct RowPair {
  const T* x;     // the first pixel's values
  ptrdiff_t row;  // of the panel of filters: its first of `run`
};

// The outputs above for panels of NR filters, [panel][filter rows * run][NR].
template <class T>
struct ConvRow {
  const RowPair<T>* pairs;
  ptrdiff_t count, run, step;
  const T* panels;  // zeros where the last has fewer than NR
  ptrdiff_t panel;  // values in each
  T* y;
  ptrdiff_t pixels, y_step, width;  // width: of the filters
  const T* bias;                    // or null
  T low, high;
  bool past;  // y is written past the caches: it and y_step are whole lines
};

struct ConvRowKernel : Kernel {
  int mr, nr;
};

#define ROW(name, T, isa, mr, nr) STRIATE_WITH_##isa(void name(const ConvRow<T>&);)
#include "ops/conv2d/rows_kernels.inc"
#undef ROW

template <class T>
void rows_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& epilogue, T* y);
// Stride 1 only.
template <class T>
void rows_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& epilogue, T* dx);

}  // namespace striate
