// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/dot/dot.inl"

namespace striate {

#define ROW(name, T, isa) HERE_##isa(DEFINE_DOT(name, T))
#include "ops/dot/kernels.inc"
#undef ROW

}  // namespace striate
