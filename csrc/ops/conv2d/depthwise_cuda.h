// SPDX-License-Identifier: Apache-2.0
// What the launch of a depthwise convolution's kernel passes; host and device read this file.
// groups = C, and each channel has K / C filters of its own: w is [K, R, S].
#pragma once
#include "cuda/device/divisor.h"

namespace striate {

template <class R>  // the type of sums, as in gemm_cuda.h
struct DepthwiseOf {
  const void *x, *dy, *w;  // of the kernel's type; x and dy where the pass reads them
  const R* bias;           // one a channel of the result, or null; fwd and bwd_data
  void* out;               // y or dx of sums, or where out_is_narrow of the kernel's type;
                           // bwd_weight: sums [parts, K, R, S]
  int images, channels, filters;
  int height, width, taps_h, taps_w;
  Divisor out_h, out_w;  // P and Q
  Divisor in_h, in_w;    // H and W
  Divisor stride_h, stride_w;
  Divisor multiplier;  // K / C
  int top, left, dilation_h, dilation_w;
  int part;     // bwd_weight: pixels of y for a part
  R low, high;  // clamp, as in gemm_cuda.h
  int out_is_narrow;

  // Block (32, 8): a block has 32 packs of 16 bytes of channels. Grid
  //   fwd, bwd_data   (ceil(channels of the result / (32 * 16 / item size)), any)
  //   bwd_weight      (ceil(K / (32 * 16 / item size)), parts)
  // Dynamic shared memory of fwd and bwd_data, where `filters` is 1 and K / C; more than 48 KiB is
  // more than a launch gets unasked:
  static constexpr int shared(int taps, int filters, int item) {
    return taps * filters * 32 * (16 / item) * (item < 4 ? 4 : item);
  }
};
using DepthwiseCuda = DepthwiseOf<float>;

}  // namespace striate
