// SPDX-License-Identifier: Apache-2.0
// Few pixels under many filters: what lies under a filter is copied side by side, [pixels, R S C],
// and meets the filters in one product, where they lie (ops/gemm/wide.h). Pixels whose filter lies
// in the padding altogether are left out.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

// One group.
template <class T>
void patches_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& epilogue, T* y);

// The part of the pixels of y whose filter meets the image.
double patches_met(const ConvShape& s);

}  // namespace striate
