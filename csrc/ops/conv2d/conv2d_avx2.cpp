// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/conv2d/depthwise.inl"

namespace striate {

void conv2d_depthwise_pixel_f32_avx2(const DepthwisePixels<float>& a) { pixel(a); }
void conv2d_depthwise_pixel_f64_avx2(const DepthwisePixels<double>& a) { pixel(a); }
void conv2d_depthwise_weight_f32_avx2(const DepthwiseWeight<float>& a) { weight(a); }
void conv2d_depthwise_weight_f64_avx2(const DepthwiseWeight<double>& a) { weight(a); }

}  // namespace striate
