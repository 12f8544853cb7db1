// SPDX-License-Identifier: Apache-2.0
// What launches of the kernels of pad_cuda.cu pass; host and device read this file.
#pragma once

namespace striate {

struct PadCuda {
  static constexpr int kMaxRank = 8;
  int rank;
  long long n;  // elements of y
  struct Axis {
    long long size, inner, before;  // of y, of x, and in front of x; negative: cropped
    long long x_stride, y_stride;
  } axis[kMaxRank];  // by descending strides of y
};

}  // namespace striate
