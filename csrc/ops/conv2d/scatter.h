// SPDX-License-Identifier: Apache-2.0
// The data gradient of few channels, whose rows are too short for a tile's vectors: every pixel of
// dy is multiplied with all filters at once, and what it gives, R * S * C values, is added to the
// window of dx that it came from.
//
//   P [Q, R * S * C] = dy [Q, K] W [K, R * S * C]                                 one row of dy
//   dx[p stride - top + r dilation][q stride - left + s] += P[q][r][s]            every r, s, q
//
// No multiplication is wasted at any stride. For colour images it is the gradient of a network's
// first layer, and the last layer of a generator.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// to[i * to_step + j] += from[i * from_step + j]          i < count, j < n; no two windows overlap
template <class T>
struct ScatterWindows {
  T* to;
  ptrdiff_t to_step;
  const T* from;
  ptrdiff_t from_step, count, n;
};

#define ROW(name, T, isa) STRIATE_WITH_##isa(void name(const ScatterWindows<T>&);)
#include "ops/conv2d/scatter_kernels.inc"
#undef ROW

template <class T>
void scatter_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& epilogue,
                      T* dx);

}  // namespace striate
