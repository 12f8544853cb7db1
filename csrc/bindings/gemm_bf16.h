// SPDX-License-Identifier: Apache-2.0
// What `gemm` does where its first operand is bfloat16.
#pragma once
#include "bindings/array.h"

namespace striate {

py::object gemm_bf16_binding(const Operand& a, py::handle b_array, py::handle bias,
                             py::handle activation, py::handle parameter, double alpha, double beta,
                             py::handle out);

}  // namespace striate
