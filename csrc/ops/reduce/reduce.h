// SPDX-License-Identifier: Apache-2.0
// Sums over any axes of a strided array.
//
//   out[kept axes] = sum over the reduced axes of x
//
// Sums are blocked (vectors of partial sums, blocks of rows, fixed parts of the whole), so their
// error grows with the logarithm of the count, and the order never depends on the number of
// threads.
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

// rows == 1: the sum of n elements, out[0].  Else: out[j] (+)= sum over i < rows of x[i * row + j].
template <class T>
struct SumArgs {
  const T* x;
  ptrdiff_t row;  // stride between rows, in elements
  ptrdiff_t rows, n;
  T* out;
  bool accumulate;  // add to out instead of overwriting it
};
template <class T>
using SumFn = void(const SumArgs<T>&);

enum class Reduction { sum_row, sum_columns };

#define ROW(name, T, isa, what) STRIATE_WITH_##isa(SumFn<T> name;)
#include "ops/reduce/kernels.inc"
#undef ROW

// `reduced[i]` says whether axis i of x is summed away. out holds the kept axes of x, in order,
// with any strides.
void sum(const Operand& x, const bool* reduced, const Operand& out);

// On a GPU: the sums of a dense matrix [rows, n], of its columns or else of its rows, in parts, of
// which a next step makes the sum. The result is [rows, parts], or of columns [parts, n].
struct SumStep {
  bool of_columns;
  ptrdiff_t rows, n, part, parts;
};
SumStep sum_step(bool of_columns, ptrdiff_t rows, ptrdiff_t n);
void sum_launch(const cuda::Stream& stream, const SumStep& step, const Operand& x,
                const Operand& out);

}  // namespace striate
