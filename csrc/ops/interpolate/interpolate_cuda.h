// SPDX-License-Identifier: Apache-2.0
// What the launch of a kernel of interpolate_cuda.cu passes; host and device read this file. The
// equations are in interpolate.h.
#pragma once
#include "cuda/device/divisor.h"

namespace striate {

// The matrix of an axis, on the device: output o mixes weight[k] x[at[k]], begin[o] <= k <
// begin[o + 1].
struct ResampleAxisCuda {
  const long long *begin, *at;
  const double* weight;
  int in;
  Divisor out;  // outputs
};

template <class T>
struct ResampleCuda {
  const T* x;  // [images, in, in, in, channels], dense
  T* y;        // [images, out, out, out, channels], dense
  ResampleAxisCuda axis[3];
  int channels;
  Divisor packs;  // ceil(channels / (16 / item size))
  int count;      // images * outputs * packs
};

}  // namespace striate
