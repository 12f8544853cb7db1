// SPDX-License-Identifier: Apache-2.0
// y = a x + 1: x, y [n], any alignment of an element. One thread an element.
extern "C" __global__ void probe_f32_cuda(const float* x, float* y, float a, long long n) {
  const long long i = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  if (i < n) y[i] = a * x[i] + 1.0f;
}
