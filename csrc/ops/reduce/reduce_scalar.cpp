// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/reduce/sum.inl"

namespace striate {

void sum_row_f32_scalar(const SumArgs<float>& args) { sum_row(args); }
void sum_row_f64_scalar(const SumArgs<double>& args) { sum_row(args); }
void sum_columns_f32_scalar(const SumArgs<float>& args) { sum_columns(args); }
void sum_columns_f64_scalar(const SumArgs<double>& args) { sum_columns(args); }

}  // namespace striate
