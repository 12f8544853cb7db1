// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/peak/peak.inl"

namespace striate {

double peak_fma_f32_scalar(ptrdiff_t rounds, float* sink) { return peak(rounds, sink); }
double peak_fma_f64_scalar(ptrdiff_t rounds, double* sink) { return peak(rounds, sink); }

}  // namespace striate
