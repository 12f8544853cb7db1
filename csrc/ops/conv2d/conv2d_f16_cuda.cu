// SPDX-License-Identifier: Apache-2.0
// Convolutions of float16 with float32 sums: conv2d_tiles.cuh by gemm_half.cuh.
//
// conv2d_{fwd,bwd_data,bwd_weight}_f16_cuda_mma_128x{64,128,256}(ConvCuda): launch as
// conv2d_cuda.h says; dynamic shared memory of GemmCuda::mma_shared(64, 128 or 256)
#include "ops/conv2d/conv2d_tiles.cuh"
#include "ops/gemm/gemm_half.cuh"

STRIATE_CONV2DS(f16_cuda_mma_128x64, F16Loop<64>, 2)
STRIATE_CONV2DS(f16_cuda_mma_128x128, F16Loop<128>, 2)
STRIATE_CONV2DS(f16_cuda_mma_128x256, F16Loop<256>, 1)
