// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/layer_norm/layer_norm.inl"

namespace striate {

void layer_norm_fwd_f32_avx2(const LayerNormArgs<float>& args) { normalise<true>(args); }
void layer_norm_fwd_f64_avx2(const LayerNormArgs<double>& args) { normalise<true>(args); }
void layer_norm_bwd_f32_avx2(const LayerNormArgs<float>& args) { normalise_backward<true>(args); }
void layer_norm_bwd_f64_avx2(const LayerNormArgs<double>& args) { normalise_backward<true>(args); }
void rms_norm_fwd_f32_avx2(const LayerNormArgs<float>& args) { normalise<false>(args); }
void rms_norm_fwd_f64_avx2(const LayerNormArgs<double>& args) { normalise<false>(args); }
void rms_norm_bwd_f32_avx2(const LayerNormArgs<float>& args) { normalise_backward<false>(args); }
void rms_norm_bwd_f64_avx2(const LayerNormArgs<double>& args) { normalise_backward<false>(args); }

}  // namespace striate
