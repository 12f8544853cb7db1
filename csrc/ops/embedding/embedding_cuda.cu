// SPDX-License-Identifier: Apache-2.0
// Rows of a table by their numbers: taken one by one, or summed in groups (embedding.h), which is
// the gradient as well. No atomics: a group's rows are added up in their order, or by eight warps
// that take every eighth, so every run gives equal bits.
//
// Bound: memory, a row read and a row written, 16 bytes a thread. An index that is no row of the
// table gives a row of NaN, and reads nothing.
//
// embedding_<dtype>_cuda(EmbeddingRowsCuda<T>)
//   a warp a row: block 256, grid at most ceil(count / 8)
// embedding_sum_<dtype>_cuda(EmbeddingSumCuda<T>)
//   a block a group and 512 bytes of columns, for groups of some 16 k or more:
//   block (32, 8), grid (ceil(n * item size / 512), at most groups)
// embedding_sum_<dtype>_cuda_warp(the same)
//   a warp a group: block (32, 8), grid (ceil(n * item size / 512), at most ceil(groups / 8))
// embedding_max_<dtype>_cuda(EmbeddingMaxCuda<T>)
//   a lane a column, a warp a group: block (32, 8), grid (ceil(n / 32), at most ceil(groups / 8))
// embedding_max_bwd_<dtype>_cuda(EmbeddingMaxBackwardCuda<T>)
//   block (32, 8), grid (ceil(n / 32), any)
// Shared memory: static, 8 KiB at most.
#include "cuda/device/column.cuh"
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/embedding/embedding_cuda.h"

namespace striate {

template <class T>
inline void embedding_rows(const EmbeddingRowsCuda<T>& a) {
  using Row = Team<32>;
  for (int64 i = Row::first_row(); i < a.count; i += Row::row_step()) {
    const int64 index = a.index[i];
    T* out = a.out + i * a.out_row;
    if (index >= 0 && index < a.table_rows)
      Row::map_row(out, a.n, [](T x) { return x; }, a.table + index * a.row);
    else
      Row::map_row(out, a.n, [] { return T(__uint_as_float(0x7fc00000u)); });
  }
}

// sum += the rows of every `step`th k from `k` on, of this thread's columns.
template <class T>
inline void add_rows(const EmbeddingSumCuda<T>& a, int64 k, int64 end, int step, int64 column,
                     T (&sum)[Pack<T>::size]) {
#pragma unroll 2
  for (; k < end; k += step) {
    const T* row = a.rows + (a.position ? a.position[k] : k) * a.row;
    const Pack<T> x = load_row(row, column, a.n, T(0));
    const Vec<T> share{a.share ? a.share[k] : T(1)};
#pragma unroll
    for (int e = 0; e < Pack<T>::size; ++e) sum[e] = fma(share, Vec<T>{x.at[e]}, Vec<T>{sum[e]}).v;
  }
}

template <bool kWarp, class T>
inline void embedding_sum(const EmbeddingSumCuda<T>& a) {
  constexpr int kPack = Pack<T>::size, kGroups = kWarp ? kWays : 1;  // of a block
  const int way = int(threadIdx.y);
  const int64 column = (int64(blockIdx.x) * 32 + threadIdx.x) * kPack;
  for (int64 first = int64(blockIdx.y) * kGroups; first < a.groups;
       first += int64(gridDim.y) * kGroups) {
    const int64 g = kWarp ? first + way : first;
    T sum[kPack] = {};
    if (g < a.groups && column < a.n)
      add_rows(a, a.begin[g] + (kWarp ? 0 : way), a.begin[g + 1], kWarp ? 1 : kWays, column, sum);
    if constexpr (!kWarp) reduce_ways<Sum>(sum);
    if (g >= a.groups || column >= a.n || (!kWarp && way != 0)) continue;
    const T scale = a.scale ? a.scale[g] : T(1);
    Pack<T> y;
#pragma unroll
    for (int e = 0; e < kPack; ++e) y.at[e] = scale * sum[e];
    store_row(a.out + (a.to ? a.to[g] : g) * a.out_row, column, a.n, y);
  }
}

template <class T>
inline void embedding_max(const EmbeddingMaxCuda<T>& a) {
  const int64 column = int64(blockIdx.x) * 32 + threadIdx.x;
  if (column >= a.n) return;
  for (int64 g = int64(blockIdx.y) * kWays + threadIdx.y; g < a.groups;
       g += int64(gridDim.y) * kWays) {
    int64 which = -1;
    T top = 0;
    for (int64 k = a.begin[g]; k < a.begin[g + 1]; ++k) {
      const int64 position = a.position[k];
      const T x = a.rows[position * a.row + column];
      if (which < 0 || x > top) top = x, which = position;
    }
    a.out[g * a.n + column] = top;
    a.which[g * a.n + column] = which;
  }
}

// A thread has a column, and every `ways`th row of the table from `own` on, which no other writes
// to.
template <class T>
inline void embedding_max_bwd(const EmbeddingMaxBackwardCuda<T>& a) {
  const int64 column = int64(blockIdx.x) * 32 + threadIdx.x;
  const int64 own = int64(blockIdx.y) * kWays + threadIdx.y, ways = int64(gridDim.y) * kWays;
  if (column >= a.n) return;
  for (int64 row = own; row < a.table_rows; row += ways) a.out[row * a.n + column] = T(0);
  for (int64 i = column; i < a.groups * a.n; i += a.n) {
    const int64 row = a.which[i];
    if (row >= 0 && row % ways == own) a.out[row * a.n + column] += a.dy[i];
  }
}

}  // namespace striate

#define KERNEL(name, Args, ...)                                                \
  extern "C" __global__ void __launch_bounds__(256) name(striate::Args args) { \
    striate::__VA_ARGS__(args);                                                \
  }
#define KERNELS(dtype, T)                                                                  \
  KERNEL(embedding_##dtype##_cuda, EmbeddingRowsCuda<T>, embedding_rows)                   \
  KERNEL(embedding_max_##dtype##_cuda, EmbeddingMaxCuda<T>, embedding_max)                 \
  KERNEL(embedding_max_bwd_##dtype##_cuda, EmbeddingMaxBackwardCuda<T>, embedding_max_bwd) \
  KERNEL(embedding_sum_##dtype##_cuda, EmbeddingSumCuda<T>, embedding_sum<false>)          \
  KERNEL(embedding_sum_##dtype##_cuda_warp, EmbeddingSumCuda<T>, embedding_sum<true>)
KERNELS(f32, float)
KERNELS(f64, double)
