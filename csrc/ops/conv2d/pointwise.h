// SPDX-License-Identifier: Apache-2.0
// 1x1 filters as a product over all pixels: [pixels, C] by [C, K] and its gradients.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// Stride 1, no padding, one group.
template <class T>
void pointwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& epilogue, T* y);
template <class T>
void pointwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& epilogue,
                        T* dx);
template <class T>
void pointwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw);

// Any stride: over a copy of the pixels that the filters meet.
template <class T>
void sampled_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw);

}  // namespace striate
