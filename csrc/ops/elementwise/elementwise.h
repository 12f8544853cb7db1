// SPDX-License-Identifier: Apache-2.0
// Arithmetic on two operands, element by element, with broadcasting.
//
//   out[i] = a[i] (op) b[i]
//
// Axes of size 1 in a or b are repeated, and missing leading axes count as size 1, as in NumPy. out
// has the broadcast shape; it may be a or b itself, but must not overlap them otherwise.
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Binary { add, sub, mul, div, maximum, minimum };

// Steps in elements; 0 repeats, 1 is the fast case.
template <class T>
using BinaryFn = void(const T* a, ptrdiff_t a_step, const T* b, ptrdiff_t b_step, T* out,
                      ptrdiff_t out_step, ptrdiff_t n);

#define ROW(name, T, isa, op) STRIATE_WITH_##isa(BinaryFn<T> name;)
#include "ops/elementwise/kernels.inc"
#undef ROW

// The broadcast shape of a and b; throws if they do not fit. Returns the rank.
int broadcast_shape(const char* op, const Operand& a, const Operand& b, ptrdiff_t* shape);

void binary(Binary op, const Operand& a, const Operand& b, const Operand& out);

// The same on a GPU, of which `out` is; an operand of the CPU has no axes and is passed as a
// number.
void binary_launch(const cuda::Stream& stream, Binary op, const Operand& a, const Operand& b,
                   const Operand& out);

}  // namespace striate
