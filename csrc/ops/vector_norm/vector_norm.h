// SPDX-License-Identifier: Apache-2.0
// What the norms of a vector are made of, over all elements of an array:
//
//   squares    sum of x[i]^2
//   absolute   sum of |x[i]|
//   largest    max of |x[i]|, NaN where one is
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class NormSum { squares, absolute, largest };

template <class T>
using NormFn = T(const T* x, ptrdiff_t n);  // unit stride

#define ROW(name, T, isa, what) STRIATE_WITH_##isa(NormFn<T> name;)
#include "ops/vector_norm/kernels.inc"
#undef ROW

NormSum norm_sum_by_name(const char* name);  // throws std::invalid_argument with the choices

// *to = the sum; x is dense, in any order.
void vector_norm(NormSum what, const Operand& x, const Operand& to);
// On a GPU: of the parts of x, [vector_norm_parts(n)], yet to be joined; not of an empty x.
ptrdiff_t vector_norm_parts(ptrdiff_t n);
void vector_norm_launch(const cuda::Stream& stream, NormSum what, const Operand& x,
                        const Operand& parts);

}  // namespace striate
