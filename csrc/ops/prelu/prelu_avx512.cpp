// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/prelu/prelu.inl"

namespace striate {

#define ROW(name, T, isa, pass) HERE_##isa(DEFINE_##pass(name, T))
#include "ops/prelu/kernels.inc"
#undef ROW

}  // namespace striate
