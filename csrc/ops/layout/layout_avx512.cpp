// SPDX-License-Identifier: Apache-2.0
#include "ops/layout/transpose.inl"

namespace striate {

void layout_transpose_f32_avx512(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  transpose(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_f64_avx512(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose(src, src_row, rows, cols, dst, dst_row);
}

}  // namespace striate
