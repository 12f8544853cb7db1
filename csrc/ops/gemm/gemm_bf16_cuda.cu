// SPDX-License-Identifier: Apache-2.0
// Matrix products of bfloat16 with float32 sums (gemm_half.cuh).
//
// gemm_bf16_cuda_mma_128x{128,256}_{nn,nt,tn,tt}(GemmCuda): launch as gemm_cuda.h says; dynamic
// shared memory of GemmCuda::mma_shared(128 or 256), more than a launch gets unasked. C is float,
// or bfloat16.
#include "ops/gemm/gemm_half.cuh"

STRIATE_MMA_GEMMS(gemm_bf16_cuda_mma_128x128, Bf16Loop<128>, 2)
STRIATE_MMA_GEMMS(gemm_bf16_cuda_mma_128x256, Bf16Loop<256>, 1)
