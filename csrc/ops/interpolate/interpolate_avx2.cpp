// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/interpolate/resample.inl"

namespace striate {

void interpolate_f32_avx2(const ResampleArgs<float>& args) { resample_row(args); }
void interpolate_f64_avx2(const ResampleArgs<double>& args) { resample_row(args); }

}  // namespace striate
