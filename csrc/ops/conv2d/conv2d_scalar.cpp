// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/conv2d/depthwise.inl"

namespace striate {

void conv2d_depthwise_blocks_f32_scalar(const DepthwiseBlocks<float>& a) { blocks(a); }
void conv2d_depthwise_blocks_f64_scalar(const DepthwiseBlocks<double>& a) { blocks(a); }
void conv2d_depthwise_taps_f32_scalar(const DepthwiseTaps<float>& a) { taps(a); }
void conv2d_depthwise_taps_f64_scalar(const DepthwiseTaps<double>& a) { taps(a); }
void conv2d_depthwise_weight_blocks_f32_scalar(const DepthwiseWeightBlocks<float>& a) {
  weight_blocks(a);
}
void conv2d_depthwise_weight_blocks_f64_scalar(const DepthwiseWeightBlocks<double>& a) {
  weight_blocks(a);
}
void conv2d_depthwise_weight_taps_f32_scalar(const DepthwiseWeightTaps<float>& a) {
  weight_taps(a);
}
void conv2d_depthwise_weight_taps_f64_scalar(const DepthwiseWeightTaps<double>& a) {
  weight_taps(a);
}

}  // namespace striate
