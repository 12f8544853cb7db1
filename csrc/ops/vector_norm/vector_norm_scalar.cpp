// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "simd/vec_scalar.h"
//
#include "ops/vector_norm/total.inl"

namespace striate {

#define ROW(name, T, isa, what) HERE_##isa(DEFINE_NORM(name, T, what))
#include "ops/vector_norm/kernels.inc"
#undef ROW

}  // namespace striate
