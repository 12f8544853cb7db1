// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/ctc/row.inl"

namespace striate {

void ctc_forward_f32_scalar(const CtcRow<float>& row) { ctc_forward(row); }
void ctc_forward_f64_scalar(const CtcRow<double>& row) { ctc_forward(row); }
void ctc_backward_f32_scalar(const CtcRow<float>& row) { ctc_backward(row); }
void ctc_backward_f64_scalar(const CtcRow<double>& row) { ctc_backward(row); }

}  // namespace striate
