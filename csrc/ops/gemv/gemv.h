// SPDX-License-Identifier: Apache-2.0
// Matrix times vector, y = A x, or times a few of them, for GEMM's problems of few columns.
//
// Two kernels, by the direction in which A is contiguous. Both read every element of A once:
//   rows     A[i, k] = a[i * stride + k]    y[i] is a sum along the row; one vector
//   columns  A[i, k] = a[k * stride + i]    y is a sum of columns, some at a time
#pragma once
#include "core/registry.h"
#include "ops/gemm/gemm.h"

namespace striate {

template <class T>
struct GemvRun {
  const T* a;
  ptrdiff_t stride;
  const T* x;  // x[j * x_column + k]
  T* y;        // y[j * y_column + i], written
  ptrdiff_t m, k;
  int n;  // vectors
  ptrdiff_t x_column, y_column;
};
template <class T>
using GemvFn = void(const GemvRun<T>&);

constexpr ptrdiff_t kFewVectors = 4;

// Whether gemv() can take the problem: one column of B and A contiguous one way, or a few columns
// and A contiguous along its columns.
template <class T>
bool is_gemv(const GemmProblem<T>& p) {
  if (p.packed_b) return false;
  if (p.n == 1) return p.a.col == 1 || p.a.row == 1 || p.k == 1;
  return p.n <= kFewVectors && p.a.row == 1;
}

// One problem (batch is not looked at) for which is_gemv() holds.
template <class T>
void gemv(const GemmProblem<T>& p);

#define ROW(name, T, isa, ...) STRIATE_WITH_##isa(GemvFn<T> name;)
#include "ops/gemv/kernels.inc"
#undef ROW

}  // namespace striate
