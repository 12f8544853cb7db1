// SPDX-License-Identifier: Apache-2.0
// Matrix products of float64 on CUDA cores (gemm_simt.cuh).
//
// gemm_f64_cuda_simt_{nn,nt,tn,tt}(GemmOf<double>): launch as gemm_cuda.h says; shared memory
// static, 33 KiB
#include "ops/gemm/gemm_simt.cuh"

STRIATE_SIMT_GEMMS(gemm_f64_cuda_simt, double, 1)
