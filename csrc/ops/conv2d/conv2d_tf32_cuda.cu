// SPDX-License-Identifier: Apache-2.0
// Convolutions of float32 on tensor cores: conv2d_tiles.cuh by gemm_tf32.cuh.
//
// conv2d_{fwd,bwd_data,bwd_weight}_f32_cuda_tf32_128x{64,128,256}(ConvCuda)
// conv2d_{fwd,bwd_data,bwd_weight}_f32_cuda_3xtf32(ConvCuda)
//   launch as conv2d_cuda.h says; dynamic shared memory of GemmCuda::mma_shared(64, 128 or 256),
//   3xtf32 of 128
#include "ops/conv2d/conv2d_tiles.cuh"
#include "ops/gemm/gemm_tf32.cuh"

STRIATE_CONV2DS(f32_cuda_tf32_128x64, Tf32Loop<64>, 2)
STRIATE_CONV2DS(f32_cuda_tf32_128x128, Tf32Loop<128>, 2)
STRIATE_CONV2DS(f32_cuda_tf32_128x256, Tf32Loop<256>, 1)
STRIATE_CONV2DS(f32_cuda_3xtf32, Tf32x3Loop, 1)
