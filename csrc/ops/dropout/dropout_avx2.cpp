// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/dropout/dropout.inl"

namespace striate {

void dropout_f32_avx2(const DropoutArgs<float>& args) { dropout(args); }
void dropout_f64_avx2(const DropoutArgs<double>& args) { dropout(args); }
void dropout_by_words_f32_avx2(const DropoutArgs<float>& args) { dropout_by_words(args); }
void dropout_by_words_f64_avx2(const DropoutArgs<double>& args) { dropout_by_words(args); }
void philox_f32_avx2(const PhiloxArgs& args) { philox_words(args); }

}  // namespace striate
