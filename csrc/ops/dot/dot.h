// SPDX-License-Identifier: Apache-2.0
// Products whose operands both run along k, read where they lie:
//
//   C = (beta C) + bias + A W^T      A [M, K]  W [N, K]  C [M, N], beta 0 or 1
//
// GEMM takes them for few rows with B along k, which packing would turn at every call, and for few
// columns with A along k; recurrent layers for their steps of few sequences.
#pragma once
#include "core/registry.h"
#include "ops/dot/rows.h"
#include "ops/gemm/gemm.h"

namespace striate {

constexpr ptrdiff_t kDotRows = 4;
template <class T>
struct DotRun {
  const T* w;  // [n, k], rows w_row apart
  ptrdiff_t w_row, n, k;
  Rows<const T> a;
  ptrdiff_t a_rows;  // kDotRows at most
  Rows<T> c;         // with beta == 0 not read
  T beta;
  const T* bias;  // [n] or null
  // Rows from one of W, or of A, to the one that is asked for meanwhile; 0: none is.
  ptrdiff_t w_ahead = 0, a_ahead = 0;
};
template <class T>
using DotFn = void(const DotRun<T>&);

// The preferred kernel on this machine.
template <class T>
DotFn<T>* dot_kernel();

// Whether dot() can take the problem: the larger operand lies along k.
template <class T>
bool is_dot(const GemmProblem<T>& p) {
  const bool along = p.m <= p.n ? p.b.row == 1 : p.a.col == 1;
  return along && p.c.col == 1 && !p.packed_b && p.k > 0 && p.alpha == T(1) &&
         (p.beta == T(0) || p.beta == T(1));
}

// One problem (batch is not looked at) for which is_dot() holds.
template <class T>
void dot(const GemmProblem<T>& p);

#define ROW(name, T, isa) STRIATE_WITH_##isa(DotFn<T> name;)
#include "ops/dot/kernels.inc"
#undef ROW

}  // namespace striate
