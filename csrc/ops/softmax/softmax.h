// SPDX-License-Identifier: Apache-2.0
// Softmax and its logarithm along one axis.
//
//   softmax        y = exp(x - m) / S          m = max x,  S = sum exp(x - m)
//   log_softmax    y = (x - m) - log S
// and their gradients, from y:
//   softmax_backward        dx = y (dy - sum(y dy))
//   log_softmax_backward    dx = dy - exp(y) sum(dy)
//
// A row of -inf alone, or with an inf or a NaN in it, gives NaN.
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Softmax { softmax, softmax_backward, log_softmax, log_softmax_backward };

// Rows of n elements at unit stride. out may be x or dy, but overlaps them in no other way.
template <class T>
struct SoftmaxRows {
  const T* x;  // the operand; backward: y
  ptrdiff_t x_row;
  const T* dy;  // backward only
  ptrdiff_t dy_row;
  T* out;
  ptrdiff_t out_row, rows, n;
  bool past_caches;  // a gradient, which is then neither y nor dy
};
template <class T>
using SoftmaxFn = void(const SoftmaxRows<T>&);

#define ROW(name, T, isa, what) STRIATE_WITH_##isa(SoftmaxFn<T> name;)
#include "ops/softmax/kernels.inc"
#undef ROW

// Along `axis` of x (backward: of y). dy has data null forward. Any strides.
void softmax(Softmax what, const Operand& x, const Operand& dy, int axis, const Operand& out);

// The same on a GPU, of operands in C order, along the last axis.
void softmax_launch(const cuda::Stream& stream, Softmax what, const Operand& x, const Operand& dy,
                    const Operand& out);

}  // namespace striate
