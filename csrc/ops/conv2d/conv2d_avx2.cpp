// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/conv2d/depthwise.inl"

namespace striate {

void conv2d_depthwise_blocks_f32_avx2(const DepthwiseBlocks<float>& a) { blocks(a); }
void conv2d_depthwise_blocks_f64_avx2(const DepthwiseBlocks<double>& a) { blocks(a); }
void conv2d_depthwise_taps_f32_avx2(const DepthwiseTaps<float>& a) { taps(a); }
void conv2d_depthwise_taps_f64_avx2(const DepthwiseTaps<double>& a) { taps(a); }
void conv2d_depthwise_weight_blocks_f32_avx2(const DepthwiseWeightBlocks<float>& a) {
  weight_blocks(a);
}
void conv2d_depthwise_weight_blocks_f64_avx2(const DepthwiseWeightBlocks<double>& a) {
  weight_blocks(a);
}
void conv2d_depthwise_weight_taps_f32_avx2(const DepthwiseWeightTaps<float>& a) { weight_taps(a); }
void conv2d_depthwise_weight_taps_f64_avx2(const DepthwiseWeightTaps<double>& a) { weight_taps(a); }

}  // namespace striate
