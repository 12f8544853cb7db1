// SPDX-License-Identifier: Apache-2.0
// Layer norm and root mean square norm, forward: the equations of layer_norm.h, dense rows.
//
// The variance takes two passes, over differences from a mean that is itself summed as differences
// from the row's first element: neither a large mean nor a long row costs digits.
// Bound: memory, one stream in and one out; from the second pass on a row is in L1.
//
// <op>_fwd_<dtype>_cuda(LayerNormCuda<T>)        a block a row: block 256, grid at most rows
// <op>_fwd_<dtype>_cuda_warp(LayerNormCuda<T>)   a warp a row, n <= 1024: block 256, grid at most
//                                                ceil(rows / 8)
//   <op> is layer_norm or rms_norm; y may be x. Shared memory: static, 64 bytes.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/layer_norm/layer_norm_cuda.h"

namespace striate {

template <class T>
inline T multiply_add(T a, T b, T c) {
  return fma(Vec<T>{a}, Vec<T>{b}, Vec<T>{c}).v;
}

template <bool kCentred, int kThreads, class T>
inline void normalise(const LayerNormCuda<T>& a) {
  using Row = Team<kThreads>;
  for (int64 r = Row::first_row(); r < a.rows; r += Row::row_step()) {
    const T* x = a.x + r * a.n;
    T *y = a.y + r * a.n, mean = 0;
    if constexpr (kCentred) {
      const T base = a.n > 0 ? x[0] : T(0);
      mean = base +
             Row::template reduce_row<Sum, T>(a.n, [base](T v) { return v - base; }, x) / T(a.n);
    }
    const T squares =
        Row::template reduce_row<Sum, T>(a.n, [mean](T v) { return (v - mean) * (v - mean); }, x);
    const T invstd = T(1) / sqrt(Vec<T>{squares / T(a.n) + a.eps}).v;
    if (Row::thread() == 0) {
      a.invstd[r] = invstd;
      if (kCentred) a.mean[r] = mean;
    }
    auto unit = [=](T v) { return (v - mean) * invstd; };
    if (a.weight && a.bias) {
      Row::map_row(
          y, a.n, [=](T v, T w, T b) { return multiply_add(unit(v), w, b); }, x, a.weight, a.bias);
    } else if (a.weight) {
      Row::map_row(y, a.n, [=](T v, T w) { return unit(v) * w; }, x, a.weight);
    } else if (a.bias) {
      Row::map_row(y, a.n, [=](T v, T b) { return unit(v) + b; }, x, a.bias);
    } else {
      Row::map_row(y, a.n, unit, x);
    }
  }
}

}  // namespace striate

#define KERNEL(name, T, centred, threads)                                                  \
  extern "C" __global__ void __launch_bounds__(256) name(striate::LayerNormCuda<T> args) { \
    striate::normalise<centred, threads>(args);                                            \
  }
#define KERNELS(op, dtype, T, centred)             \
  KERNEL(op##_fwd_##dtype##_cuda, T, centred, 256) \
  KERNEL(op##_fwd_##dtype##_cuda_warp, T, centred, 32)
KERNELS(layer_norm, f32, float, true)
KERNELS(layer_norm, f64, double, true)
KERNELS(rms_norm, f32, float, false)
KERNELS(rms_norm, f64, double, false)
