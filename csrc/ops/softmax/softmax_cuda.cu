// SPDX-License-Identifier: Apache-2.0
// Softmax and its logarithm along rows of unit stride, and their gradients: the equations of
// softmax.h, and its rows of -inf, inf and NaN.
//
// Bound: memory, one stream in and one out (backward two in): a row is passed over three times
// (backward twice), from the second on in L1. Exponentials are computed twice rather than kept.
//
// <op>_<dtype>_cuda(x, x_row, y, y_row, rows, n)                            a block a row
//   block 256, grid at most rows
// <op>_<dtype>_cuda_warp(the same)                                          a warp a row, n <= 1024
//   block 256, grid at most ceil(rows / 8)
// <op>_backward_<dtype>_cuda(y, y_row, dy, dy_row, dx, dx_row, rows, n), …_cuda_warp: likewise
//   <op> is softmax or log_softmax; y may be x, dx may be y or dy. Shared memory: static, 64 bytes.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"

namespace striate {

// e^x and log x of T.
template <class T>
inline T exp_of(T x) {
  return exp(Vec<T>{x}).v;
}
template <class T>
inline T log_of(T x) {
  return log(Vec<T>{x}).v;
}

template <bool kLog, int kThreads, class T>
inline void softmax(const T* x, int64 x_row, T* y, int64 y_row, int64 rows, int64 n) {
  using Row = Team<kThreads>;
  for (int64 r = Row::first_row(); r < rows; r += Row::row_step()) {
    const T* in = x + r * x_row;
    T* out = y + r * y_row;
    const T top = Row::template reduce_row<Max, T>(n, [](T v) { return v; }, in);
    const T total = Row::template reduce_row<Sum, T>(n, [top](T v) { return exp_of(v - top); }, in);
    if constexpr (kLog) {
      Row::map_row(out, n, [top, l = log_of(total)](T v) { return (v - top) - l; }, in);
    } else {
      Row::map_row(out, n, [top, s = T(1) / total](T v) { return exp_of(v - top) * s; }, in);
    }
  }
}

template <bool kLog, int kThreads, class T>
inline void softmax_backward(const T* y, int64 y_row, const T* dy, int64 dy_row, T* dx,
                             int64 dx_row, int64 rows, int64 n) {
  using Row = Team<kThreads>;
  for (int64 r = Row::first_row(); r < rows; r += Row::row_step()) {
    const T *p = y + r * y_row, *g = dy + r * dy_row;
    T* out = dx + r * dx_row;
    if constexpr (kLog) {
      const T total = Row::template reduce_row<Sum, T>(n, [](T d) { return d; }, g);
      Row::map_row(out, n, [total](T v, T d) { return d - exp_of(v) * total; }, p, g);
    } else {
      const T total = Row::template reduce_row<Sum, T>(n, [](T v, T d) { return v * d; }, p, g);
      Row::map_row(out, n, [total](T v, T d) { return v * (d - total); }, p, g);
    }
  }
}

}  // namespace striate

#define KERNELS(op, dtype, T, log)                                                          \
  STRIATE_ROW_KERNELS(                                                                      \
      op##_##dtype##_cuda,                                                                  \
      (const T* x, long long x_row, T* y, long long y_row, long long rows, long long n),    \
      (striate::softmax<log, kThreads>(x, x_row, y, y_row, rows, n)))                       \
  STRIATE_ROW_KERNELS(                                                                      \
      op##_backward_##dtype##_cuda,                                                         \
      (const T* y, long long y_row, const T* dy, long long dy_row, T* dx, long long dx_row, \
       long long rows, long long n),                                                        \
      (striate::softmax_backward<log, kThreads>(y, y_row, dy, dy_row, dx, dx_row, rows, n)))
KERNELS(softmax, f32, float, false)
KERNELS(softmax, f64, double, false)
KERNELS(log_softmax, f32, float, true)
KERNELS(log_softmax, f64, double, true)
