// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/dropout/dropout.inl"

namespace striate {

void dropout_f32_avx512(const DropoutArgs<float>& args) { dropout(args); }
void dropout_f64_avx512(const DropoutArgs<double>& args) { dropout(args); }
void dropout_by_words_f32_avx512(const DropoutArgs<float>& args) { dropout_by_words(args); }
void dropout_by_words_f64_avx512(const DropoutArgs<double>& args) { dropout_by_words(args); }
void philox_f32_avx512(const PhiloxArgs& args) { philox_words(args); }

}  // namespace striate
