// SPDX-License-Identifier: Apache-2.0
// What the launch of a pooling kernel passes; host and device read this file. The equations and
// rules are those of pool2d.h; memory is dense and channels last.
#pragma once
#include "cuda/device/divisor.h"

namespace striate {

// The windows along one axis; stride 0 for those of adaptive pooling, from floor(o in / out) to
// ceil((o + 1) in / out).
struct PoolCudaAxis {
  int in, out, kernel, stride, padding, dilation;
  Divisor size;  // forward: out; backward: in
};

struct PoolCuda {
  const void* x;  // of the kernel's type: x forward, dy backward
  void* y;        // y; dx
  // Of maxima: the taps, or null. Bytes, or with `wide_taps` (more than 256 in a window) of the
  // kernel's type.
  void* taps;
  int wide_taps;
  int images, channels;
  Divisor packs;  // ceil(channels / (16 / item size))
  PoolCudaAxis h, w;
  // What a sum is divided by: a number (0), the taps inside the image (1), those inside the padding
  // too (2), or their share of the window (3), as PoolDivisor.
  int divisor_kind;
  double divisor;

  // Block 256, grid any: ceil(images * pixels * packs / 256) of the result or less.
};

}  // namespace striate
