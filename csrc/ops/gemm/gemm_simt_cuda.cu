// SPDX-License-Identifier: Apache-2.0
// Matrix products of float32 on CUDA cores (gemm_simt.cuh).
//
// gemm_f32_cuda_simt_{nn,nt,tn,tt}(GemmCuda): launch as gemm_cuda.h says; shared memory static, 33
// KiB
#include "ops/gemm/gemm_simt.cuh"

#define KERNEL(name, trans_a, trans_b)                                                \
  extern "C" __global__ void __launch_bounds__(256, 2) name(striate::GemmCuda args) { \
    striate::gemm<striate::SimtLoop, trans_a, trans_b>(args);                         \
  }
KERNEL(gemm_f32_cuda_simt_nn, false, false)
KERNEL(gemm_f32_cuda_simt_nt, false, true)
KERNEL(gemm_f32_cuda_simt_tn, true, false)
KERNEL(gemm_f32_cuda_simt_tt, true, true)
