// SPDX-License-Identifier: Apache-2.0
// Products of float16 with float32 sums: gemm_half.cuh.
#include "ops/gemm/gemm_half.cuh"

KERNELS(f16, float16, 128, 2)
KERNELS(f16, float16, 256, 1)
