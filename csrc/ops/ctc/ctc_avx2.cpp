// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/ctc/row.inl"

namespace striate {

void ctc_forward_f32_avx2(const CtcRow<float>& row) { ctc_forward(row); }
void ctc_forward_f64_avx2(const CtcRow<double>& row) { ctc_forward(row); }
void ctc_backward_f32_avx2(const CtcRow<float>& row) { ctc_backward(row); }
void ctc_backward_f64_avx2(const CtcRow<double>& row) { ctc_backward(row); }

}  // namespace striate
