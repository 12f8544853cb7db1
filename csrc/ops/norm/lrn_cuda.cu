// SPDX-License-Identifier: Apache-2.0
// Local response norm (norm.h): a warp a pixel, a lane a channel, whose neighbours' values are in
// L1.
//
// s^-3/4, the usual exponent, takes two square roots, any other pow. The gradient keeps its terms,
// since each belongs to the windows of `size` channels. Bound: memory, one stream in and one out
// (backward: two in and two out, then three in and one out).
//
// lrn_{fwd,terms,bwd}_<dtype>_cuda(LrnCuda<T>)   a warp a row: block 256, grid at most
//   ceil(rows / 8); terms, then bwd, is the gradient. y is not x, dx neither x nor dy.
// No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/norm/lrn_cuda.h"

namespace striate {

inline float power(float s, float beta) { return powf(s, beta); }
inline double power(double s, double beta) { return pow(s, beta); }

// s^beta
template <class T>
inline T spread_power(T s, T beta) {
  if (beta != T(0.75)) return power(s, beta);
  const Vec<T> root = sqrt(Vec<T>{s});
  return (root * sqrt(root)).v;
}

// The sum of f over row[c - before … c + after], of what is in the row.
template <class T, class F>
inline T window_sum(const T* row, int c, int channels, int before, int after, F f) {
  T total = 0;
  const int last = smaller(c + after, channels - 1);
  for (int j = c > before ? c - before : 0; j <= last; ++j) total = f(row[j], total);
  return total;
}

template <class T>
inline T spread(const LrnCuda<T>& a, const T* x, int c) {
  const T squares = window_sum(x, c, a.channels, a.size / 2, (a.size - 1) / 2,
                               [](T v, T sum) { return fma(Vec<T>{v}, Vec<T>{v}, Vec<T>{sum}).v; });
  return fma(Vec<T>{squares}, Vec<T>{a.share}, Vec<T>{a.k}).v;
}

// f(row's first element, channel) for every channel of every row.
template <class T, class F>
inline void each_channel(const LrnCuda<T>& a, F f) {
  using Row = Team<32>;
  for (int64 r = Row::first_row(); r < a.rows; r += Row::row_step())
    for (int c = Row::thread(); c < a.channels; c += 32) f(r * a.channels, c);
}

template <class T>
inline void lrn_fwd(const LrnCuda<T>& a) {
  each_channel(a, [&](int64 row, int c) {
    a.y[row + c] = a.x[row + c] / spread_power(spread(a, a.x + row, c), a.beta);
  });
}

template <class T>
inline void lrn_terms(const LrnCuda<T>& a) {
  each_channel(a, [&](int64 row, int c) {
    const T s = spread(a, a.x + row, c), scaled = a.dy[row + c] / spread_power(s, a.beta);
    a.y[row + c] = scaled;
    a.terms[row + c] = scaled * a.x[row + c] / s;
  });
}

template <class T>
inline void lrn_bwd(const LrnCuda<T>& a) {
  const T slope = T(-2) * a.share * a.beta;
  each_channel(a, [&](int64 row, int c) {
    const T sum = window_sum(a.terms + row, c, a.channels, (a.size - 1) / 2, a.size / 2,
                             [](T v, T total) { return total + v; });
    a.y[row + c] = fma(Vec<T>{slope * a.x[row + c]}, Vec<T>{sum}, Vec<T>{a.y[row + c]}).v;
  });
}

}  // namespace striate

#define KERNEL(name, dtype, T)                          \
  extern "C" __global__ void __launch_bounds__(256)     \
      name##_##dtype##_cuda(striate::LrnCuda<T> args) { \
    striate::name(args);                                \
  }
#define KERNELS(dtype, T)     \
  KERNEL(lrn_fwd, dtype, T)   \
  KERNEL(lrn_terms, dtype, T) \
  KERNEL(lrn_bwd, dtype, T)
KERNELS(f32, float)
KERNELS(f64, double)
