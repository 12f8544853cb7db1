// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/optimizer/step.inl"

namespace striate {

#define ROW(name, T, isa, rule, Struct) HERE_##isa(DEFINE_STEP(name, T, Struct))
#include "ops/optimizer/kernels.inc"
#undef ROW

}  // namespace striate
