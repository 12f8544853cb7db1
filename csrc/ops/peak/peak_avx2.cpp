// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/peak/peak.inl"

namespace striate {

double peak_fma_f32_avx2(ptrdiff_t rounds, float* sink) { return peak(rounds, sink); }
double peak_fma_f64_avx2(ptrdiff_t rounds, double* sink) { return peak(rounds, sink); }

}  // namespace striate
