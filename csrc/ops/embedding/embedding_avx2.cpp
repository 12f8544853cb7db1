// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/embedding/embedding.inl"

namespace striate {

void embedding_rows_f32_avx2(const EmbeddingRowsArgs<float>& args) { take_rows(args); }
void embedding_rows_f64_avx2(const EmbeddingRowsArgs<double>& args) { take_rows(args); }
void embedding_sum_f32_avx2(const EmbeddingSumArgs<float>& args) { sum_rows(args); }
void embedding_sum_f64_avx2(const EmbeddingSumArgs<double>& args) { sum_rows(args); }
void embedding_max_f32_avx2(const EmbeddingMaxArgs<float>& args) { max_rows(args); }
void embedding_max_f64_avx2(const EmbeddingMaxArgs<double>& args) { max_rows(args); }

}  // namespace striate
