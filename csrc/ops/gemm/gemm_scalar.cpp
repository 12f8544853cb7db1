// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/gemm/microkernel.inl"

namespace striate {

void gemm_f32_scalar_4x4(const GemmTile<float>& t) { tile_of_size<float, 4, 4>(t); }
void gemm_f64_scalar_4x4(const GemmTile<double>& t) { tile_of_size<double, 4, 4>(t); }
void gemm_f32_scalar_4x12(const GemmTile<float>& t) { wide_tile<float, 4, 12>(t); }
void gemm_f64_scalar_4x12(const GemmTile<double>& t) { wide_tile<double, 4, 12>(t); }

}  // namespace striate
