// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/activation/activation.inl"

namespace striate {

#define ROW(name, T, isa, f, F, pass) HERE_##isa(DEFINE_##pass(name, T, F))
#include "ops/activation/kernels.inc"
#undef ROW

}  // namespace striate
