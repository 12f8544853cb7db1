// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx2.h"
//
#include "ops/gemm/microkernel.inl"

namespace striate {

void gemm_f32_avx2_6x16(const GemmTile<float>& t) { tile_of_size<float, 6, 2>(t); }
void gemm_f64_avx2_6x8(const GemmTile<double>& t) { tile_of_size<double, 6, 2>(t); }
void gemm_f32_avx2_4x24(const GemmTile<float>& t) { wide_tile<float, 4, 3>(t); }
void gemm_f64_avx2_4x12(const GemmTile<double>& t) { wide_tile<double, 4, 3>(t); }

}  // namespace striate
