// SPDX-License-Identifier: Apache-2.0
// What the C entry points share: errors that become a status, and tensors that become operands.
#pragma once
#include "core/operand.h"
#include "include/striate.h"
#include "ops/gemm/gemm.h"

namespace striate::capi {

// Keeps the message for striate_last_error, cut to a fixed size so that this can't fail.
void set_error(const char* message) noexcept;
// The status for the exception that is being handled, its message kept.
striate_status status_of_exception() noexcept;

template <class F>
striate_status guarded(F&& f) noexcept {
  try {
    f();
    set_error("");
    return STRIATE_OK;
  } catch (...) {
    return status_of_exception();
  }
}

// A tensor as an operand, or std::invalid_argument. `written` also refuses elements that share
// memory because of a stride of 0.
Operand read(const char* op, const char* argument, const striate_tensor* t);
Operand written(const char* op, const char* argument, const striate_tensor* t);
Operand images(const char* op, const char* argument, const Operand& x);  // checks rank 4

template <class P>
const P& given(const char* op, const char* argument, const P* p) {
  if (p == nullptr) fail(op, argument, "a pointer", "null");
  return *p;
}

void same_dtype(const char* op, const char* argument, const Operand& like, const Operand& x);

// One number a channel, dense; null where the tensor is null and may be.
const void* vector(const char* op, const char* argument, const striate_tensor* t,
                   const Operand& like, ptrdiff_t size);

// The parameter of an activation that has no more than one; this interface passes no second.
inline double one_parameter(const char* op, Activation f, double parameter) {
  if (f == Activation::hardtanh || f == Activation::threshold)
    fail(op, "activation", "one of at most one parameter", activation_name(f));
  return parameter;
}

// Bias and activation of an epilogue for results of `columns` columns.
template <class T>
Epilogue<T> epilogue_of(const char* op, const striate_epilogue* e, const Operand& like,
                        ptrdiff_t columns) {
  Epilogue<T> made;
  if (e == nullptr) return made;
  if (e->bias != nullptr) {
    made.bias = static_cast<const T*>(vector(op, "bias", e->bias, like, columns));
    made.bias_axis = BiasAxis::column;
  }
  if (e->activation == nullptr) return made;
  Activation f = activation_by_name(e->activation);
  if (f == Activation::relu) {
    made.low = 0;  // in registers
  } else {
    made.activation = activation_kernel<T>(f);
    made.parameter = {T(one_parameter(op, f, e->parameter)), T(0)};
  }
  return made;
}

}  // namespace striate::capi
