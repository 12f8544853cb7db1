// SPDX-License-Identifier: Apache-2.0
// Threads that do not all come to the barrier, or to the meeting of their warp.
#include "cuda/device/memory.cuh"

extern "C" __global__ void divergent_barrier(const float* x, float* y) {
  const int i = threadIdx.x;
  if (i < 48) __syncthreads();
  y[i] = x[i];
}

extern "C" __global__ void two_barriers(const float* x, float* y) {
  const int i = threadIdx.x;
  if (i < 48) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[i] = x[i];
}

extern "C" __global__ void divergent_shuffle(const float* x, float* y) {
  const int i = threadIdx.x;
  y[i] = x[i];
  if (i % 32 < 20) y[i] = __shfl_xor_sync(0xffffffff, x[i], 1);
}

extern "C" __global__ void shuffle_outside_mask(const float* x, float* y) {
  const int i = threadIdx.x;
  y[i] = __shfl_xor_sync(0x0000ffff, x[i], 1);
}

extern "C" __global__ void votes_and_shuffles(const float* x, float* y) {
  const int i = threadIdx.x;
  const unsigned odd = __ballot_sync(0xffffffff, i % 2);
  float z = __shfl_down_sync(0xffffffff, x[i], 1) - __shfl_up_sync(0xffffffff, x[i], 1);
  z += __shfl_sync(0xffffffff, x[i], 3, 8);
  if (i % 32 < 16) z += __shfl_xor_sync(0x0000ffff, x[i], 8);  // half a warp, on purpose
  if (odd != 0xaaaaaaaa || !__any_sync(0xffffffff, i % 32 == 7) || __all_sync(0xffffffff, i > 0))
    z = 0;
  y[i] = z;
}
