// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/activation/activation.inl"

#define HERE_scalar(...)
#define HERE_avx2(...)
#define HERE_avx512(...)
#undef HERE_avx512
#define HERE_avx512(...) __VA_ARGS__

namespace striate {

#define ROW(name, T, isa, f, F, pass) HERE_##isa(DEFINE_##pass(name, T, F))
#include "ops/activation/kernels.inc"
#undef ROW

}  // namespace striate
