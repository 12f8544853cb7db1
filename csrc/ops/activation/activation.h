// SPDX-License-Identifier: Apache-2.0
// Activation functions, element by element.
//
//   forward     y[i]  = f(x[i])
//   backward    dx[i] = f'(x[i]) dy[i]
//
// The gradient is computed from what each activation saves: its result y where f' can be had from
// that, so that x need not be kept, else x. The .inl files say which. Some have one parameter or
// two.
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Activation {
#define ACTIVATION(f, F, saved) f,
#include "ops/activation/names.inc"
#undef ACTIVATION
};

template <class T>
struct Parameters {
  T a = 0, b = 0;
};

// x == y, and dx == saved or dy, are allowed; no other overlap.
template <class T>
using UnaryFn = void(const T* x, T* y, ptrdiff_t n, Parameters<T> parameter);
template <class T>
using UnaryBackwardFn = void(const T* saved, const T* dy, T* dx, ptrdiff_t n,
                             Parameters<T> parameter);

#define DECLARE_forward(name, T) UnaryFn<T> name;
#define DECLARE_backward(name, T) UnaryBackwardFn<T> name;
#define ROW(name, T, isa, f, F, pass) STRIATE_WITH_##isa(DECLARE_##pass(name, T))
#include "ops/activation/kernels.inc"
#undef ROW
#undef DECLARE_forward
#undef DECLARE_backward

// The preferred kernels on this machine, for the epilogues of other drivers.
template <class T>
UnaryFn<T>* activation_kernel(Activation f);
template <class T>
UnaryBackwardFn<T>* activation_backward_kernel(Activation f);

const char* activation_name(Activation f);
const char* activation_saves(Activation f);  // "x" or "y": what its gradient is made from
constexpr int kActivationCount = 0
#define ACTIVATION(f, F, saved) +1
#include "ops/activation/names.inc"
#undef ACTIVATION
    ;
Activation activation_by_name(const char* name);  // throws std::invalid_argument with the choices

// Operands of one shape, any strides.
void activation(Activation f, const Operand& x, Parameters<double> parameter, const Operand& y);
void activation_backward(Activation f, const Operand& saved, const Operand& dy,
                         Parameters<double> parameter, const Operand& dx);

// The same on a GPU, of operands that are dense in one memory order.
void activation_launch(const cuda::Stream& stream, Activation f, const Operand& x,
                       Parameters<double> parameter, const Operand& y);
void activation_backward_launch(const cuda::Stream& stream, Activation f, const Operand& saved,
                                const Operand& dy, Parameters<double> parameter, const Operand& dx);

}  // namespace striate
