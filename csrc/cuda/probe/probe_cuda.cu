// SPDX-License-Identifier: Apache-2.0
// y = a x + 1: x, y [n], any alignment of an element. One thread an element. A block's elements go
// through dynamic shared memory and are read back by other threads, so that what kernels rely on is
// seen: a barrier, and more shared memory than a block gets unasked (the launcher asks for it).
extern "C" __global__ void probe_f32_cuda(const float* x, float* y, float a, long long n) {
  extern __shared__ float staged[];  // [blockDim]
  const long long first = blockIdx.x * static_cast<long long>(blockDim.x);
  const unsigned mine = threadIdx.x, other = blockDim.x - 1 - mine;
  if (first + mine < n) staged[mine] = x[first + mine];
  __syncthreads();
  if (first + other < n) y[first + other] = a * staged[other] + 1.0f;
}
