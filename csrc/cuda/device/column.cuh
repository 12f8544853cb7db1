// SPDX-License-Identifier: Apache-2.0
// Reductions down the columns of a matrix: a block (32, 8) has 32 columns, neighbours in memory,
// and eight ways down each, a thread every eighth row.
#pragma once
#include "cuda/device/reduce.cuh"

namespace striate {

constexpr int kWays = 8;

// The ways' K values reduced into those of way 0, always in the same order. All threads take part.
template <class Op, int K, class T>
inline void reduce_ways(T (&value)[K]) {
  STRIATE_SHARED(T, of_way, kWays / 2 * K * 32);
  const int way = threadIdx.y, lane = threadIdx.x;
#pragma unroll
  for (int step = kWays / 2; step > 0; step /= 2) {
    if (way >= step && way < 2 * step)
#pragma unroll
      for (int k = 0; k < K; ++k) of_way[((way - step) * K + k) * 32 + lane] = value[k];
    __syncthreads();
    if (way < step)
#pragma unroll
      for (int k = 0; k < K; ++k) {
        const T other = of_way[(way * K + k) * 32 + lane];
        value[k] = Op::of(value[k], other);
      }
    __syncthreads();  // of_way may be written again
  }
}

}  // namespace striate
