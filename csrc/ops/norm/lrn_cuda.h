// SPDX-License-Identifier: Apache-2.0
// What launches of local response norm's kernels pass; host and device read this file. The
// equations are in norm.h.
#pragma once

namespace striate {

template <class T>
struct LrnCuda {
  const T *x, *dy;  // dense, [rows, channels]
  long long rows;
  int channels, size;
  T share, beta, k;  // share = alpha / size
  T* terms;          // [rows, channels]: dy x s^(-beta - 1), from lrn_terms to lrn_bwd
  T* y;              // y; or dx, of which lrn_terms writes dy s^-beta
};

}  // namespace striate
