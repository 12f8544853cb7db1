// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/norm/batch_norm.inl"
#include "ops/norm/lrn.inl"

namespace striate {

void batch_norm_stats_f32_avx2(const BatchNormArgs<float>& args) { for_strips<Stats>(args); }
void batch_norm_stats_f64_avx2(const BatchNormArgs<double>& args) { for_strips<Stats>(args); }
void batch_norm_fwd_f32_avx2(const BatchNormArgs<float>& args) { apply(args); }
void batch_norm_fwd_f64_avx2(const BatchNormArgs<double>& args) { apply(args); }
void batch_norm_sums_f32_avx2(const BatchNormArgs<float>& args) { for_strips<Sums>(args); }
void batch_norm_sums_f64_avx2(const BatchNormArgs<double>& args) { for_strips<Sums>(args); }
void batch_norm_bwd_f32_avx2(const BatchNormArgs<float>& args) { apply_backward(args); }
void batch_norm_bwd_f64_avx2(const BatchNormArgs<double>& args) { apply_backward(args); }
void lrn_fwd_f32_avx2(const LrnArgs<float>& args) { lrn_forward(args); }
void lrn_fwd_f64_avx2(const LrnArgs<double>& args) { lrn_forward(args); }
void lrn_bwd_f32_avx2(const LrnArgs<float>& args) { lrn_backward(args); }
void lrn_bwd_f64_avx2(const LrnArgs<double>& args) { lrn_backward(args); }

}  // namespace striate
