// SPDX-License-Identifier: Apache-2.0
// The parametric ReLU of prelu.h, of any strides. Bound: memory, two streams forward and four
// backward; slopes are in L1.
//
// prelu_<dtype>_cuda(x, w, y, Strides<3>)
// prelu_backward_<dtype>_cuda(x, w, dy, dx, dw, Strides<5>)
//   block 256, grid any, ceil(n / 256) or less. No shared memory.
#include "cuda/device/strided.cuh"

#define KERNELS(dtype, T)                                                               \
  extern "C" __global__ void __launch_bounds__(256)                                     \
      prelu_##dtype##_cuda(const T* x, const T* w, T* y, striate::Strides<3> strides) { \
    striate::each_strided(strides, [=](const striate::int64(&at)[3]) {                  \
      const T v = x[at[0]];                                                             \
      y[at[2]] = v > T(0) ? v : w[at[1]] * v;                                           \
    });                                                                                 \
  }                                                                                     \
  extern "C" __global__ void __launch_bounds__(256) prelu_backward_##dtype##_cuda(      \
      const T* x, const T* w, const T* dy, T* dx, T* dw, striate::Strides<5> strides) { \
    striate::each_strided(strides, [=](const striate::int64(&at)[5]) {                  \
      const T v = x[at[0]], d = dy[at[2]];                                              \
      dx[at[3]] = v > T(0) ? d : w[at[1]] * d;                                          \
      dw[at[4]] = v > T(0) ? T(0) : v * d;                                              \
    });                                                                                 \
  }
KERNELS(f32, float)
KERNELS(f64, double)
