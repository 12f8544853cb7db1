// SPDX-License-Identifier: Apache-2.0
// What norms are made of (vector_norm.h), of dense elements: out[p] of those of part p, which
// another launch adds up (sum_row, or norm_largest over the parts). Bound: memory, one stream.
// Parts of 16384 elements keep rounding errors as small as on the CPU.
//
// norm_{squares,absolute,largest}_<dtype>_cuda(x, n, part, out)   block 256, grid at most parts
// Shared memory: static, 64 bytes.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"

namespace striate {

struct Square {
  template <class T>
  T operator()(T x) const {
    return x * x;
  }
};
struct Magnitude {
  template <class T>
  T operator()(T x) const {
    return abs(Vec<T>{x}).v;
  }
};

template <class Op, class F, class T>
inline void norm_parts(const T* x, int64 n, int64 part, T* out) {
  using Block = Team<256>;
  for (int64 p = blockIdx.x; p * part < n; p += gridDim.x) {
    const int64 size = smaller(part, n - p * part);
    const T total = Block::reduce_row<Op, T>(size, F(), x + p * part);
    if (Block::thread() == 0) out[p] = total;
  }
}

}  // namespace striate

#define KERNEL(name, dtype, T, Op, F)                                                 \
  extern "C" __global__ void __launch_bounds__(256)                                   \
      norm_##name##_##dtype##_cuda(const T* x, long long n, long long part, T* out) { \
    striate::norm_parts<striate::Op, striate::F>(x, n, part, out);                    \
  }
#define KERNELS(dtype, T)                    \
  KERNEL(squares, dtype, T, Sum, Square)     \
  KERNEL(absolute, dtype, T, Sum, Magnitude) \
  KERNEL(largest, dtype, T, Max, Magnitude)
KERNELS(f32, float)
KERNELS(f64, double)
