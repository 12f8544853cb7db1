// SPDX-License-Identifier: Apache-2.0
// Blocks of A and B as the register tile reads them best. One thread; the caller shares out blocks.
#pragma once
#include "ops/gemm/gemm.h"

namespace striate {

// B [k, n], any strides, into panels [n / nr] of [k][nr], packed_panel() apart, the last one filled
// with zeros.
template <class T>
void pack_panels(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr, T* to);

// A [m, k] whose columns are contiguous into panels [m / mr] of [k][mr], packed_panel() apart: as
// the tile reads it, a step's elements side by side. The last panel's rows are those that there
// are.
template <class T>
void pack_columns(const Matrix<const T>& a, ptrdiff_t m, ptrdiff_t k, ptrdiff_t mr, T* to);

// A [m, k], any other strides, k <= kPackedK<T>, into rows kPackedRow<T> apart (tile.h).
template <class T>
void pack_rows(const Matrix<const T>& a, ptrdiff_t m, ptrdiff_t k, T* to);

}  // namespace striate
