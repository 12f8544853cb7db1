// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/layout/copy.inl"
#include "ops/layout/transpose.inl"

namespace striate {
namespace {

template <class T>
struct Tile {
  static constexpr ptrdiff_t size = 64 / sizeof(T);
  template <class Put>
  static void whole(const T* src, ptrdiff_t src_row, T* dst, ptrdiff_t dst_row, Put) {
    transpose_part(src, src_row, size, size, dst, dst_row);
  }
  static void part(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                   ptrdiff_t dst_row) {
    transpose_part(src, src_row, rows, cols, dst, dst_row);
  }
};

}  // namespace

void layout_transpose_f32_scalar(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  transpose<Tile<float>>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f32_scalar(const float* src, ptrdiff_t src_row, ptrdiff_t rows,
                                      ptrdiff_t cols, float* dst, ptrdiff_t dst_row) {
  transpose_past<Tile<float>>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_f64_scalar(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                 ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose<Tile<double>>(src, src_row, rows, cols, dst, dst_row);
}
void layout_transpose_past_f64_scalar(const double* src, ptrdiff_t src_row, ptrdiff_t rows,
                                      ptrdiff_t cols, double* dst, ptrdiff_t dst_row) {
  transpose_past<Tile<double>>(src, src_row, rows, cols, dst, dst_row);
}

}  // namespace striate
