// SPDX-License-Identifier: Apache-2.0
// out[i] = a[i] (op) b[i]. Operations, and what they make of NaN, are those of functions.inl.
//
// Bound: memory, three streams. 16 bytes an access: with 2048 threads on a multiprocessor 64 KiB
// are under way, more than latency times bandwidth, so no loop is unrolled.
//
// <op>_<dtype>_cuda(a, a_step, b, b_step, out, n, number)
//   steps are 0 (repeats a[0]) or 1; out is dense and may be a or b
//   block 256, grid ceil(n / (256 * 16 / item size)), at most some 8 blocks a multiprocessor
// <op>_<dtype>_cuda_strided(a, b, out, StridedPair, number)
//   any strides; the launch merges axes
//   block 256, grid ceil(n / 256), at most some 8 blocks a multiprocessor
// In place of an operand that is null there is `number`. No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/elementwise/elementwise_cuda.h"
//
#include "ops/elementwise/functions.inl"

namespace striate {

template <class Op, class T>
inline void pairs(const T* a, int64 a_step, const T* b, int64 b_step, T* out, int64 n, T number) {
  auto op = [](T x, T y) { return Op::apply(Vec<T>{x}, Vec<T>{y}).v; };
  if (n <= 0) return;
  if (a_step == 1 && b_step == 1) {
    map(out, n, op, a, b);
  } else if (a_step == 1) {
    map(out, n, [op, y = b ? b[0] : number](T x) { return op(x, y); }, a);
  } else if (b_step == 1) {
    map(out, n, [op, x = a ? a[0] : number](T y) { return op(x, y); }, b);
  } else {
    map(out, n, [z = op(a ? a[0] : number, b ? b[0] : number)]() { return z; });
  }
}

// Index is unsigned where n fits: a division of 64 bits takes some 100 instructions.
template <class Op, class Index, class T>
inline void strided_pairs(const T* a, const T* b, T* out, const StridedPair& s, T number) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n; i += step) {
    Index rest = Index(i);
    int64 at_a = 0, at_b = 0, at_out = 0;
    for (int axis = s.rank - 1; axis >= 0; --axis) {
      const Index size = Index(s.shape[axis]), next = rest / size;
      const int64 here = int64(rest - next * size);
      at_a += here * s.a_stride[axis];
      at_b += here * s.b_stride[axis];
      at_out += here * s.out_stride[axis];
      rest = next;
    }
    const Vec<T> x{a ? a[at_a] : number}, y{b ? b[at_b] : number};
    out[at_out] = Op::apply(x, y).v;
  }
}

}  // namespace striate

#define KERNEL(name, T, Op)                                                                        \
  extern "C" __global__ void __launch_bounds__(256) name##_cuda(                                   \
      const T* a, long long a_step, const T* b, long long b_step, T* out, long long n, T number) { \
    striate::pairs<striate::Op>(a, a_step, b, b_step, out, n, number);                             \
  }                                                                                                \
  extern "C" __global__ void __launch_bounds__(256)                                                \
      name##_cuda_strided(const T* a, const T* b, T* out, striate::StridedPair s, T number) {      \
    if (s.n >> 31)                                                                                 \
      striate::strided_pairs<striate::Op, striate::uint64>(a, b, out, s, number);                  \
    else                                                                                           \
      striate::strided_pairs<striate::Op, striate::uint32>(a, b, out, s, number);                  \
  }
KERNEL(add_f32, float, Add)
KERNEL(sub_f32, float, Sub)
KERNEL(mul_f32, float, Mul)
KERNEL(div_f32, float, Div)
KERNEL(maximum_f32, float, Maximum)
KERNEL(minimum_f32, float, Minimum)
KERNEL(add_f64, double, Add)
KERNEL(sub_f64, double, Sub)
KERNEL(mul_f64, double, Mul)
KERNEL(div_f64, double, Div)
KERNEL(maximum_f64, double, Maximum)
KERNEL(minimum_f64, double, Minimum)
