// SPDX-License-Identifier: Apache-2.0
// Matrix products of float32 on tensor cores, by one product of TF32 or by three (gemm_tf32.cuh).
//
// gemm_f32_cuda_tf32_128x{128,256}_{nn,nt,tn,tt}(GemmCuda)
// gemm_f32_cuda_3xtf32_{nn,nt,tn,tt}(GemmCuda)
//   launch as gemm_cuda.h says; dynamic shared memory of GemmCuda::mma_shared(128 or 256), more
//   than a launch gets unasked
#include "ops/gemm/gemm_tf32.cuh"

STRIATE_MMA_GEMMS(gemm_f32_cuda_tf32_128x128, Tf32Loop<128>, 2)
STRIATE_MMA_GEMMS(gemm_f32_cuda_tf32_128x256, Tf32Loop<256>, 1)
STRIATE_MMA_GEMMS(gemm_f32_cuda_3xtf32, Tf32x3Loop, 1)
