// SPDX-License-Identifier: Apache-2.0
// Products of bfloat16 with float32 sums: gemm_half.cuh.
#include "ops/gemm/gemm_half.cuh"

KERNELS(bf16, bfloat16, 128, 2)
KERNELS(bf16, bfloat16, 256, 1)
