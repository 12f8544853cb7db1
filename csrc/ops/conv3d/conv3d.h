// SPDX-License-Identifier: Apache-2.0
// 3-D convolution (cross-correlation) on channels-last volumes, and its two gradients.
//
//   y[n, o, p, q, k]  = f(b[k] + sum over t, r, s, c of x[n, d, h, w, c] * w[k, t, r, s, c])   fwd
//   dx[n, d, h, w, c] = sum over t, r, s, k of dy[n, o, p, q, k] * w[k, t, r, s, c]       bwd_data
//   dw[k, t, r, s, c] = sum over n, o, p, q of dy[n, o, p, q, k] * x[n, d, h, w, c]     bwd_weight
//
// with d = o stride_d + t dilation_d - front, and h, w as in 2-D (ops/conv2d/conv2d.h); x is 0
// outside the volume. Memory is dense: x [N, D, H, W, C], y [N, O, P, Q, K],
// w [K, T, R, S, C / groups].
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

struct Conv3dShape {
  ConvShape plane;    // n, channels, filters, groups, and everything along H and W
  ptrdiff_t d, t, o;  // planes of the input, of a filter, of the output
  ptrdiff_t stride_d, front, dilation_d;

  double flops() const { return plane.flops() * double(t) * double(o); }
};

template <class T>
void conv3d_fwd(const Conv3dShape& shape, const T* x, const T* w, const Epilogue<T>& epilogue,
                T* y);
// The epilogue is there for transposed convolution, which is this pass read the other way.
template <class T>
void conv3d_bwd_data(const Conv3dShape& shape, const T* dy, const T* w, const Epilogue<T>& epilogue,
                     T* dx);
template <class T>
void conv3d_bwd_weight(const Conv3dShape& shape, const T* x, const T* dy, T* dw);

}  // namespace striate
