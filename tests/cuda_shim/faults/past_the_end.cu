// SPDX-License-Identifier: Apache-2.0
// Off by one: <= for <. A plain access, and one of 16 bytes.
#include "cuda/device/memory.cuh"

extern "C" __global__ void past_the_end(const float* x, float* y, long long n) {
  for (long long i = threadIdx.x; i <= n; i += blockDim.x) y[i] = x[i];
}

extern "C" __global__ void past_the_end_wide(const float* x, float* y, long long n) {
  for (long long i = 4 * threadIdx.x; i < n; i += 4 * blockDim.x)  // n is no multiple of 4
    striate::store16(y + i, striate::load16(x + i));
}

extern "C" __global__ void before_the_start(const float* x, float* y, long long n) {
  for (long long i = threadIdx.x; i < n; i += blockDim.x) y[i] = x[i] - x[i - 1];
}

extern "C" __global__ void misaligned_wide(const float* x, float* y, long long) {
  striate::store16(y, striate::load16(x + 1));
}
