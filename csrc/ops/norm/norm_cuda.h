// SPDX-License-Identifier: Apache-2.0
// What the launch of a kernel of batch or group norm passes; host and device read this file. The
// equations are in norm.h.
//
// Both are one thing: x is `images` matrices of [rows, channels], whose channels stand in groups of
// `group` neighbours, and mean and variance are over the rows and the channels of a group. Batch
// norm is one image of N H W rows and groups of one channel; group norm N images of H W rows.
#pragma once
#include "cuda/device/divisor.h"

namespace striate {

template <class T>
struct NormCuda {
  const T *x, *dy;
  int images, rows, channels;
  Divisor group;           // channels of one
  const T *weight, *bias;  // [channels], or null
  T *mean, *invstd;        // [images, groups]
  T eps;
  int part;            // rows that a block adds up
  T *part_a, *part_b;  // [images, parts, channels]
  // norm_join: each null or [images, groups]; running ones move by `momentum`
  T* var;
  T *running_mean, *running_var;
  double momentum;
  // Backward
  int given;           // mean and invstd did not come from x
  T *slope, *shift;    // [images, groups]
  T *dweight, *dbias;  // [channels], or null
  T* y;                // y, or dx
  Divisor packs;       // ceil(channels / (16 / item size))
};

}  // namespace striate
