// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/pool2d/pool2d.inl"

namespace striate {

void pool2d_max_f32_avx512(const PoolArgs<float>& args) { max_row(args); }
void pool2d_max_f64_avx512(const PoolArgs<double>& args) { max_row(args); }
void pool2d_sum_f32_avx512(const PoolArgs<float>& args) { sum_row<Sum>(args); }
void pool2d_sum_f64_avx512(const PoolArgs<double>& args) { sum_row<Sum>(args); }
void pool2d_lp2_f32_avx512(const PoolArgs<float>& args) { sum_row<Lp2>(args); }
void pool2d_lp2_f64_avx512(const PoolArgs<double>& args) { sum_row<Lp2>(args); }
void pool2d_max_bwd_f32_avx512(const PoolBackwardArgs<float>& args) { max_backward_row(args); }
void pool2d_max_bwd_f64_avx512(const PoolBackwardArgs<double>& args) { max_backward_row(args); }
void pool2d_sum_bwd_f32_avx512(const PoolBackwardArgs<float>& args) { sum_backward_row(args); }
void pool2d_sum_bwd_f64_avx512(const PoolBackwardArgs<double>& args) { sum_backward_row(args); }

}  // namespace striate
