// SPDX-License-Identifier: Apache-2.0
// What the launch of a kernel of layer_norm_cuda.cu passes; host and device read this file.
#pragma once

namespace striate {

// The fields of LayerNormArgs (layer_norm.h) that the forward pass has.
template <class T>
struct LayerNormCuda {
  const T *x, *weight, *bias;  // weight and bias may be null
  long long rows, n;
  T eps;
  T *mean, *invstd;  // [rows]; mean is not touched by RMS norm
  T* y;
};

}  // namespace striate
