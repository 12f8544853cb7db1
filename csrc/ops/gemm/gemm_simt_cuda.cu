// SPDX-License-Identifier: Apache-2.0
// Matrix products of float32 on CUDA cores (gemm_simt.cuh).
//
// gemm_f32_cuda_simt_{nn,nt,tn,tt}(GemmCuda): launch as gemm_cuda.h says; shared memory static, 33
// KiB
#include "ops/gemm/gemm_simt.cuh"

STRIATE_SIMT_GEMMS(gemm_f32_cuda_simt, float, 2)
