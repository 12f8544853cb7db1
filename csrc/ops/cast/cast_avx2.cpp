// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/cast/cast.inl"

namespace striate {

void cast_widen_bf16_avx2(const bfloat16* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, float* y,
                          ptrdiff_t y_row) {
  widen(x, x_row, rows, n, y, y_row);
}
void cast_narrow_f32_avx2(const float* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, bfloat16* y,
                          ptrdiff_t y_row) {
  narrow(x, x_row, rows, n, y, y_row);
}

}  // namespace striate
