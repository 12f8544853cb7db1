// SPDX-License-Identifier: Apache-2.0
// What launches of the kernels of layer_norm_cuda.cu pass; host and device read this file.
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

template <class T>
struct LayerNormBackwardCuda {
  const T *x, *dy, *weight;  // weight may be null
  const T *mean, *invstd;    // [rows]; mean is not read by RMS norm
  long long rows, n;
  T* dx;               // rows
  long long part;      // columns: rows of a part
  T *dweight, *dbias;  // columns: [parts, n], or null
};

}  // namespace striate
