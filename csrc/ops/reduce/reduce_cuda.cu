// SPDX-License-Identifier: Apache-2.0
// Sums and maxima of rows and columns, without atomics: equal bits in every run.
//
//   rows      out[i, p] = reduction of x[i, j] over the j of part p
//   columns   out[p, j] = reduction of x[i, j] over the i of part p
//
// of x [rows, n], whose rows are `row` apart. Part p begins at p * part. A launch of more than one
// part is followed by another over its results (out of the first is x of the second, with one
// part). A maximum is NaN where an element is.
//
// Bound: memory, one stream. Rows by 16 bytes where aligned, columns by 128 bytes a warp. A thread
// adds its elements one by one (rows: in chains), so parts of 16384 elements of a row and of 1024
// rows keep errors as small as on the CPU.
//
// <op>_row_<dtype>_cuda(x, row, rows, n, part, out)        a block a row and part; n over some 1024
//   block 256, grid (at most rows, parts)
// <op>_row_<dtype>_cuda_warp(x, row, rows, n, out)         a warp a row, one part
//   block 256, grid at most ceil(rows / 8)
// <op>_columns_<dtype>_cuda(x, row, rows, n, part, out)
//   block (32, 8), grid (ceil(n / 32), parts)
// Shared memory: static, 2 KiB at most.
#include "cuda/device/column.cuh"
#include "cuda/device/row.cuh"

namespace striate {

template <class Op, int kThreads, class T>
inline void reduce_rows(const T* x, int64 row, int64 rows, int64 n, int64 part, T* out) {
  using Row = Team<kThreads>;
  const int64 begin = int64(blockIdx.y) * part, size = smaller(part, n - begin);
  for (int64 r = Row::first_row(); r < rows; r += Row::row_step()) {
    const T total =
        Row::template reduce_row<Op, T>(size, [](T v) { return v; }, x + r * row + begin);
    if (Row::thread() == 0) out[r * gridDim.y + blockIdx.y] = total;
  }
}

template <class Op, class T>
inline void reduce_columns(const T* x, int64 row, int64 rows, int64 n, int64 part, T* out) {
  const int64 j = int64(blockIdx.x) * 32 + threadIdx.x;
  const int64 begin = int64(blockIdx.y) * part, end = smaller(begin + part, rows);
  T total[1] = {Op::template none<T>()};
  if (j < n) {
#pragma unroll 4
    for (int64 i = begin + threadIdx.y; i < end; i += kWays)
      total[0] = Op::of(total[0], x[i * row + j]);
  }
  reduce_ways<Op>(total);
  if (threadIdx.y == 0 && j < n) out[blockIdx.y * n + j] = total[0];
}

}  // namespace striate

#define KERNELS(op, dtype, T, Op)                                                       \
  extern "C" __global__ void __launch_bounds__(256) op##_row_##dtype##_cuda(            \
      const T* x, long long row, long long rows, long long n, long long part, T* out) { \
    striate::reduce_rows<striate::Op, 256>(x, row, rows, n, part, out);                 \
  }                                                                                     \
  extern "C" __global__ void __launch_bounds__(256) op##_row_##dtype##_cuda_warp(       \
      const T* x, long long row, long long rows, long long n, T* out) {                 \
    striate::reduce_rows<striate::Op, 32>(x, row, rows, n, n, out);                     \
  }                                                                                     \
  extern "C" __global__ void __launch_bounds__(256) op##_columns_##dtype##_cuda(        \
      const T* x, long long row, long long rows, long long n, long long part, T* out) { \
    striate::reduce_columns<striate::Op>(x, row, rows, n, part, out);                   \
  }
KERNELS(sum, f32, float, Sum)
KERNELS(sum, f64, double, Sum)
KERNELS(max, f32, float, Max)
KERNELS(max, f64, double, Max)
