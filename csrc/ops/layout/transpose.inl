// SPDX-License-Identifier: Apache-2.0
// Blocked transpose. A block of Block x Block elements is read along rows and written along
// columns, so that every cache line fetched on either side is used whole before it leaves L1.
#include <cstddef>

#include "ops/layout/layout.h"

namespace striate {
namespace {

template <class T>
void transpose(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
               ptrdiff_t dst_row) {
  constexpr ptrdiff_t Block = 64 / sizeof(T);
  for (ptrdiff_t j0 = 0; j0 < cols; j0 += Block) {
    ptrdiff_t j1 = j0 + Block < cols ? j0 + Block : cols;
    for (ptrdiff_t i0 = 0; i0 < rows; i0 += Block) {
      ptrdiff_t i1 = i0 + Block < rows ? i0 + Block : rows;
      for (ptrdiff_t j = j0; j < j1; ++j)
        for (ptrdiff_t i = i0; i < i1; ++i) dst[j * dst_row + i] = src[i * src_row + j];
    }
  }
}

}  // namespace
}  // namespace striate
