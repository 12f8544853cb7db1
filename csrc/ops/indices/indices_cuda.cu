// SPDX-License-Identifier: Apache-2.0
// Whether indices are from 0 to below - 1, or `ignored`, and what the weights of those that are not
// ignored come to. Bound: memory, eight bytes an index; one block for some thousands of them.
//
// check_indices_<dtype>_cuda(CheckIndicesCuda<T>)   block 256, grid any: a part each
// Shared memory: static, 64 bytes.
#include "cuda/device/reduce.cuh"
#include "ops/indices/indices_cuda.h"

namespace striate {

struct First {
  template <class T>
  static T of(T a, T b) {
    return a < b ? a : b;
  }
};

template <class T>
inline void check_indices(const CheckIndicesCuda<T>& a) {
  constexpr long long kNone = 0x7fffffffffffffffll;
  const int64 step = int64(gridDim.x) * blockDim.x;
  long long wrong = kNone;
  double weight = 0;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < a.count; i += step) {
    const int64 index = a.index[i];
    if (a.ignores && index == a.ignored) continue;
    if (index >= 0 && index < a.below)
      weight += a.weight ? double(a.weight[index]) : 1;
    else if (wrong == kNone)
      wrong = i;
  }
  wrong = block_reduce<First, 256>(wrong);
  weight = block_reduce<Sum, 256>(weight);
  if (threadIdx.x == 0) a.parts[blockIdx.x] = {wrong, wrong == kNone ? 0 : a.index[wrong], weight};
}

}  // namespace striate

extern "C" __global__ void __launch_bounds__(256)
    check_indices_f32_cuda(striate::CheckIndicesCuda<float> args) {
  striate::check_indices(args);
}
extern "C" __global__ void __launch_bounds__(256)
    check_indices_f64_cuda(striate::CheckIndicesCuda<double> args) {
  striate::check_indices(args);
}
