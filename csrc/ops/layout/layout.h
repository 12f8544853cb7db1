// SPDX-License-Identifier: Apache-2.0
// Moving data between memory orders: the 2-D transpose that NCHW <-> NHWC and packing are made of.
#pragma once
#include <cstddef>

#include "core/registry.h"

namespace striate {

// dst[j * dst_row + i] = src[i * src_row + j]      i < rows, j < cols. Any alignment; no overlap.
template <class T>
using TransposeFn = void(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                         ptrdiff_t dst_row);

// The preferred transpose on this machine.
template <class T>
TransposeFn<T>* transpose_kernel();

#define ROW(name, T, isa) STRIATE_WITH_##isa(TransposeFn<T> name;)
#include "ops/layout/kernels.inc"
#undef ROW

}  // namespace striate
