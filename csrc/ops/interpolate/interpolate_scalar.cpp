// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/interpolate/resample.inl"

namespace striate {

void interpolate_f32_scalar(const ResampleArgs<float>& args) { resample_row(args); }
void interpolate_f64_scalar(const ResampleArgs<double>& args) { resample_row(args); }

}  // namespace striate
