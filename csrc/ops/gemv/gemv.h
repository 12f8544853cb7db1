// SPDX-License-Identifier: Apache-2.0
// Matrix times vector, y = A x, for GEMM's problems of one column.
//
// Two kernels, by the direction in which A is contiguous. Both read every element of A once:
//   rows     A[i, k] = a[i * stride + k]    y[i] is a sum along the row
//   columns  A[i, k] = a[k * stride + i]    y is a sum of columns, some at a time
#pragma once
#include "core/registry.h"
#include "ops/gemm/gemm.h"

namespace striate {

template <class T>
using GemvFn = void(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t m, ptrdiff_t k);

// Whether gemv() can take the problem: one column of B, A contiguous one way.
template <class T>
bool is_gemv(const GemmProblem<T>& p) {
  return p.n == 1 && p.packed_b == nullptr && (p.a.col == 1 || p.a.row == 1 || p.k == 1);
}

// One problem (batch is not looked at) for which is_gemv() holds.
template <class T>
void gemv(const GemmProblem<T>& p);

#define ROW(name, T, isa, ...) STRIATE_WITH_##isa(GemvFn<T> name;)
#include "ops/gemv/kernels.inc"
#undef ROW

}  // namespace striate
