// SPDX-License-Identifier: Apache-2.0
// 2-D convolution of bfloat16 images and filters, and its gradients, as in conv2d.h, with results
// of float32.
//
// Products of two bfloat16 are exact in float32 and sums are rounded to nearest even, but where
// Winograd's method computes on the widened operands, with its error bounds and under the same
// setting. Denormals count as 0.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace striate {

void conv2d_fwd(const ConvShape& shape, const bfloat16* x, const bfloat16* w,
                const Epilogue<float>& epilogue, float* y);
void conv2d_bwd_data(const ConvShape& shape, const bfloat16* dy, const bfloat16* w,
                     const Epilogue<float>& epilogue, float* dx);
void conv2d_bwd_weight(const ConvShape& shape, const bfloat16* x, const bfloat16* dy, float* dw);

}  // namespace striate
