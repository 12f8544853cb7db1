// SPDX-License-Identifier: Apache-2.0
// The parametric ReLU, whose slope below 0 is learned (He, Zhang, Ren and Sun 2015).
//
//   y  = x       where x > 0, else w x                       forward
//   dx = dy      where x > 0, else w dy                      backward
//   dw = 0       where x > 0, else x dy                      backward, before it is summed
//
// w repeats along x (one slope a channel, or one in all): strides of 0. dw comes element by element
// and is summed over the repeated axes by ops/reduce.
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

// Steps in elements; w_step is 0 (one slope for the run) or 1 (one an element). Any alignment.
template <class T>
using PreluFn = void(const T* x, const T* w, ptrdiff_t w_step, T* y, ptrdiff_t n);
template <class T>
using PreluBackwardFn = void(const T* x, const T* w, ptrdiff_t w_step, const T* dy, T* dx, T* dw,
                             ptrdiff_t n);

#define DECLARE_forward(name, T) PreluFn<T> name;
#define DECLARE_backward(name, T) PreluBackwardFn<T> name;
#define ROW(name, T, isa, pass) STRIATE_WITH_##isa(DECLARE_##pass(name, T))
#include "ops/prelu/kernels.inc"
#undef ROW
#undef DECLARE_forward
#undef DECLARE_backward

void check_slopes(const char* op, const Operand& w, const Operand& x);  // throws unless w repeats

// x, y, dy, dx, dw of one shape, any strides; w of that rank or less, repeating where its size
// is 1.
void prelu(const Operand& x, const Operand& w, const Operand& y);
void prelu_backward(const Operand& x, const Operand& w, const Operand& dy, const Operand& dx,
                    const Operand& dw);
// The same on a GPU.
void prelu_launch(const cuda::Stream& stream, const Operand& x, const Operand& w, const Operand& y);
void prelu_backward_launch(const cuda::Stream& stream, const Operand& x, const Operand& w,
                           const Operand& dy, const Operand& dx, const Operand& dw);

}  // namespace striate
