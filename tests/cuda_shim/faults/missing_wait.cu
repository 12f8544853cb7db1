// SPDX-License-Identifier: Apache-2.0
// cp.async: with its wait and the barrier after it, and without the one or the other.
#include "cuda/device/copy.cuh"

namespace {

template <class Wait>
void reverse(const float* x, float* y, Wait wait) {
  STRIATE_SHARED(float, s, 64);
  const int i = threadIdx.x;
  striate::copy_async<4>(s + i, x + i, 4);
  striate::copy_commit();
  wait();
  y[i] = s[63 - i];
}

}  // namespace

extern "C" __global__ void with_wait(const float* x, float* y) {
  reverse(x, y, [] {
    striate::copy_wait<0>();
    __syncthreads();
  });
}

extern "C" __global__ void missing_wait(const float* x, float* y) {
  reverse(x, y, [] { __syncthreads(); });
}

// One group may still be under way, and it is the one that is read.
extern "C" __global__ void wait_for_too_few(const float* x, float* y) {
  reverse(x, y, [] {
    striate::copy_wait<1>();
    __syncthreads();
  });
}

// Each thread waits for its own copies, but not for the others'.
extern "C" __global__ void wait_without_barrier(const float* x, float* y) {
  reverse(x, y, [] { striate::copy_wait<0>(); });
}

// The next copy goes where others may still read.
extern "C" __global__ void copy_into_use(const float* x, float* y) {
  for (int round = 0; round < 2; ++round)
    reverse(x, y, [] {
      striate::copy_wait<0>();
      __syncthreads();
    });
}
