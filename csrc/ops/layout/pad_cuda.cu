// SPDX-License-Identifier: Apache-2.0
// y = x with `value` around it, or less of x (layout.h). Bound: memory, two streams.
//
// pad_<dtype>_cuda(x, y, value, PadCuda)   block 256, grid any, ceil(n / 256) or less
// No shared memory.
#include "cuda/device/types.cuh"
#include "ops/layout/pad_cuda.h"

namespace striate {

// Index is unsigned where n fits: a division of 64 bits takes some 100 instructions.
template <class Index, class T>
inline void pad_by(const T* x, T* y, T value, const PadCuda& p) {
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < p.n; i += step) {
    Index rest = Index(i);
    int64 from = 0, to = 0;
    bool inside = true;
    for (int k = p.rank - 1; k >= 0; --k) {
      const PadCuda::Axis& axis = p.axis[k];
      const Index size = Index(axis.size), next = rest / size;
      const int64 here = int64(rest - next * size), there = here - axis.before;
      inside = inside && there >= 0 && there < axis.inner;
      from += there * axis.x_stride;
      to += here * axis.y_stride;
      rest = next;
    }
    y[to] = inside ? x[from] : value;
  }
}

template <class T>
inline void pad(const T* x, T* y, T value, const PadCuda& p) {
  if (p.n >> 31)
    pad_by<uint64>(x, y, value, p);
  else
    pad_by<uint32>(x, y, value, p);
}

}  // namespace striate

extern "C" __global__ void __launch_bounds__(256)
    pad_f32_cuda(const float* x, float* y, float value, striate::PadCuda pad) {
  striate::pad(x, y, value, pad);
}
extern "C" __global__ void __launch_bounds__(256)
    pad_f64_cuda(const double* x, double* y, double value, striate::PadCuda pad) {
  striate::pad(x, y, value, pad);
}
