// SPDX-License-Identifier: Apache-2.0
// Convolutions of float32 on CUDA cores: conv2d_tiles.cuh by gemm_simt.cuh.
//
// conv2d_{fwd,bwd_data,bwd_weight}_f32_cuda_simt(ConvCuda): launch as conv2d_cuda.h says
#include "ops/conv2d/conv2d_tiles.cuh"
#include "ops/gemm/gemm_simt.cuh"

STRIATE_CONV2DS(f32_cuda_simt, SimtLoop<float>, 2)
