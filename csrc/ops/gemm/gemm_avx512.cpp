// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/gemm/microkernel.inl"

namespace striate {

void gemm_f32_avx512_14x32(const GemmTile<float>& t) { tile_of_size<float, 14, 2>(t); }
void gemm_f64_avx512_14x16(const GemmTile<double>& t) { tile_of_size<double, 14, 2>(t); }
void gemm_f32_avx512_8x48(const GemmTile<float>& t) { wide_tile<float, 8, 3>(t); }
void gemm_f64_avx512_8x24(const GemmTile<double>& t) { wide_tile<double, 8, 3>(t); }

}  // namespace striate
