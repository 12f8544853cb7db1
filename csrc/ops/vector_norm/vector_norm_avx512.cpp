// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "simd/vec_avx512.h"
//
#include "ops/vector_norm/total.inl"

#define HERE_scalar(...)
#define HERE_avx2(...)
#define HERE_avx512(...)
#undef HERE_avx512
#define HERE_avx512(...) __VA_ARGS__

namespace striate {

#define ROW(name, T, isa, what) HERE_##isa(DEFINE_NORM(name, T, what))
#include "ops/vector_norm/kernels.inc"
#undef ROW

}  // namespace striate
