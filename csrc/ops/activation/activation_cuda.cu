// SPDX-License-Identifier: Apache-2.0
// Activations: the functions of functions.inl and piecewise.inl, one element after the other.
//
// Bound: memory, two streams forward and three backward; 16 bytes an access.
//
// <activation>_<dtype>_cuda(x, y, n, a, b)                     y[i] = f(x[i])
// <activation>_backward_<dtype>_cuda(saved, dy, dx, n, a, b)   dx[i] = f' dy[i]
//   a, b: the parameters, of the dtype; y may be x, dx may be saved or dy
//   block 256, grid ceil(n / (256 * 16 / item size)), at most some 8 blocks a multiprocessor
// No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
//
#include "ops/activation/functions.inl"

namespace striate {

template <class F, class T>
inline void forward(const T* x, T* y, int64 n, T a, T b) {
  const Pair<Vec<T>> p{{a}, {b}};
  map(y, n, [p](T v) { return F::forward(Vec<T>{v}, p).v; }, x);
}

template <class F, class T>
inline void backward(const T* saved, const T* dy, T* dx, int64 n, T a, T b) {
  const Pair<Vec<T>> p{{a}, {b}};
  map(dx, n, [p](T s, T d) { return F::backward(Vec<T>{s}, Vec<T>{d}, p).v; }, saved, dy);
}

}  // namespace striate

#define KERNELS(f, F, T, dtype)                                                                \
  extern "C" __global__ void __launch_bounds__(256)                                            \
      f##_##dtype##_cuda(const T* x, T* y, long long n, T a, T b) {                            \
    striate::forward<striate::F>(x, y, n, a, b);                                               \
  }                                                                                            \
  extern "C" __global__ void __launch_bounds__(256)                                            \
      f##_backward_##dtype##_cuda(const T* saved, const T* dy, T* dx, long long n, T a, T b) { \
    striate::backward<striate::F>(saved, dy, dx, n, a, b);                                     \
  }
#define ACTIVATION(f, F, saved) KERNELS(f, F, float, f32) KERNELS(f, F, double, f64)
#include "ops/activation/names.inc"
#undef ACTIVATION
