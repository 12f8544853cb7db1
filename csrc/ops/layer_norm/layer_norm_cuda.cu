// SPDX-License-Identifier: Apache-2.0
// Layer norm and root mean square norm, forward and backward: the equations of layer_norm.h, dense
// rows.
//
// The variance takes two passes, over differences from a mean that is itself summed as differences
// from the row's first element: neither a large mean nor a long row costs digits.
// Bound: memory, one stream in and one out (backward two in); from the second pass on a row is in
// L1. The sums over rows that weight and bias want take another pass, by columns.
//
// <op>_fwd_<dtype>_cuda(LayerNormCuda<T>)        a block a row: block 256, grid at most rows
// <op>_fwd_<dtype>_cuda_warp(LayerNormCuda<T>)   a warp a row, n <= 1024: block 256, grid at most
//                                                ceil(rows / 8)
// <op>_bwd_<dtype>_cuda[_warp](LayerNormBackwardCuda<T>)   dx: likewise
// <op>_bwd_columns_<dtype>_cuda(LayerNormBackwardCuda<T>)  dweight and dbias, of each part of rows;
//   block (32, 8), grid (ceil(n / 32), parts). sum_columns_<dtype>_cuda adds the parts up.
//   <op> is layer_norm or rms_norm; y may be x, dx may be dy or x. Shared memory: static, 4 KiB at
//   most.
#include "cuda/device/column.cuh"
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

// x^ = (x - mean) invstd of a row.
template <bool kCentred, class T>
struct Unit {
  T mean, invstd;
  Unit(const LayerNormBackwardCuda<T>& a, int64 row)
      : mean(kCentred ? a.mean[row] : T(0)), invstd(a.invstd[row]) {}
  T operator()(T x) const { return (x - mean) * invstd; }
};

template <bool kCentred, int kThreads, class T>
inline void normalise_backward(const LayerNormBackwardCuda<T>& a) {
  using Row = Team<kThreads>;
  for (int64 r = Row::first_row(); r < a.rows; r += Row::row_step()) {
    const T *x = a.x + r * a.n, *dy = a.dy + r * a.n;
    const Unit<kCentred, T> unit(a, r);
    auto run = [&](const auto*... weight) {  // one, or none for 1
      T g_mean = 0;
      if constexpr (kCentred)
        g_mean = Row::template reduce_row<Sum, T>(
                     a.n, [](T d, auto... w) { return (d * ... * w); }, dy, weight...) /
                 T(a.n);
      const T gx_mean = Row::template reduce_row<Sum, T>(
                            a.n, [unit](T v, T d, auto... w) { return (d * ... * w) * unit(v); }, x,
                            dy, weight...) /
                        T(a.n);
      Row::map_row(
          a.dx + r * a.n, a.n,
          [=](T v, T d, auto... w) {
            return unit.invstd * multiply_add(-unit(v), gx_mean, (d * ... * w) - g_mean);
          },
          x, dy, weight...);
    };
    if (a.weight)
      run(a.weight);
    else
      run();
  }
}

template <bool kCentred, class T>
inline void normalise_columns(const LayerNormBackwardCuda<T>& a) {
  const int64 j = int64(blockIdx.x) * 32 + threadIdx.x;
  const int64 begin = int64(blockIdx.y) * a.part, end = smaller(begin + a.part, a.rows);
  T sums[2] = {};  // of dy x^ and of dy
  if (j < a.n) {
#pragma unroll 4
    for (int64 r = begin + threadIdx.y; r < end; r += kWays) {
      const T d = a.dy[r * a.n + j];
      sums[0] = multiply_add(d, Unit<kCentred, T>(a, r)(a.x[r * a.n + j]), sums[0]);
      sums[1] += d;
    }
  }
  reduce_ways<Sum>(sums);
  if (threadIdx.y != 0 || j >= a.n) return;
  if (a.dweight) a.dweight[blockIdx.y * a.n + j] = sums[0];
  if (a.dbias) a.dbias[blockIdx.y * a.n + j] = sums[1];
}

}  // namespace striate

#define KERNELS(op, dtype, T, centred)                                                   \
  STRIATE_ROW_KERNELS(op##_fwd_##dtype##_cuda, (striate::LayerNormCuda<T> args),         \
                      (striate::normalise<centred, kThreads>(args)))                     \
  STRIATE_ROW_KERNELS(op##_bwd_##dtype##_cuda, (striate::LayerNormBackwardCuda<T> args), \
                      (striate::normalise_backward<centred, kThreads>(args)))            \
  extern "C" __global__ void __launch_bounds__(256)                                      \
      op##_bwd_columns_##dtype##_cuda(striate::LayerNormBackwardCuda<T> args) {          \
    striate::normalise_columns<centred>(args);                                           \
  }
KERNELS(layer_norm, f32, float, true)
KERNELS(layer_norm, f64, double, true)
KERNELS(rms_norm, f32, float, false)
KERNELS(rms_norm, f64, double, false)
