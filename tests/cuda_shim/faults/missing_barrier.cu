// SPDX-License-Identifier: Apache-2.0
// Neighbours read what was written, with the barrier, the warp's barrier, or without.
#include "cuda/device/memory.cuh"

extern "C" __global__ void with_barrier(const float* x, float* y) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  s[i] = x[i];
  __syncthreads();
  y[i] = s[63 - i];
}

extern "C" __global__ void missing_barrier(const float* x, float* y) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  s[i] = x[i];
  y[i] = s[63 - i];
}

// The second round writes what the first may still read.
extern "C" __global__ void missing_second_barrier(const float* x, float* y) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  for (int round = 0; round < 2; ++round) {
    s[i] = x[i] + round;
    __syncthreads();
    y[i] = s[63 - i];
  }
}

// A barrier of the warp orders its lanes, but not two warps.
extern "C" __global__ void with_warp_barrier(const float* x, float* y) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  s[i] = x[i];
  __syncwarp();
  y[i] = s[i ^ 31];
}

extern "C" __global__ void warp_barrier_for_block(const float* x, float* y) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  s[i] = x[i];
  __syncwarp();
  y[i] = s[63 - i];
}

extern "C" __global__ void reads_nothing(const float*, float* y) {
  STRIATE_SHARED(float, s, 64);
  y[threadIdx.x] = s[threadIdx.x];
}

extern "C" __global__ void past_shared(const float* x, float* y) {
  STRIATE_SHARED(float, s, 63);
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = x[0];
}
