// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/gemv/gemv.inl"

namespace striate {

#define ROW(name, T, isa, direction, parameter) \
  HERE_##isa(DEFINE_GEMV(name, T, direction, parameter))
#include "ops/gemv/kernels.inc"
#undef ROW

}  // namespace striate
