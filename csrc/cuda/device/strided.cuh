// SPDX-License-Identifier: Apache-2.0
// Loops over strided operands of one shape.
#pragma once
#include "cuda/device/strides.h"
#include "cuda/device/types.cuh"

namespace striate {

template <class Index, int N, class F>
inline void each_strided_by(const Strides<N>& s, F f) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < s.n; i += step) {
    Index rest = Index(i);
    int64 at[N] = {};
    for (int axis = s.rank - 1; axis >= 0; --axis) {
      const Index size = Index(s.shape[axis]), next = rest / size;
      const int64 here = int64(rest - next * size);
#pragma unroll
      for (int k = 0; k < N; ++k) at[k] += here * s.stride[k][axis];
      rest = next;
    }
    f(at);
  }
}

// f(offsets), [N], for every element, by all threads of the grid. Indices are unsigned where n
// fits: a division of 64 bits takes some 100 instructions.
template <int N, class F>
inline void each_strided(const Strides<N>& s, F f) {
  if (s.n >> 31)
    each_strided_by<uint64>(s, f);
  else
    each_strided_by<uint32>(s, f);
}

}  // namespace striate
