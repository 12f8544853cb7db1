// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/reduce/sum.inl"

namespace striate {

void sum_row_f32_avx2(const SumArgs<float>& args) { sum_row(args); }
void sum_row_f64_avx2(const SumArgs<double>& args) { sum_row(args); }
void sum_columns_f32_avx2(const SumArgs<float>& args) { sum_columns(args); }
void sum_columns_f64_avx2(const SumArgs<double>& args) { sum_columns(args); }

}  // namespace striate
