// SPDX-License-Identifier: Apache-2.0
// Resampling of images (interpolate.h), either way: an axis' matrix and its transpose look alike.
// A thread makes 16 bytes of channels of an output; the matrices are in L1, and so, for what
// neighbours share, are the inputs. Bound: memory.
//
// interpolate_<dtype>_cuda(ResampleCuda<T>)   block 256, grid any, ceil(count / 256) or less
// No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/interpolate/interpolate_cuda.h"

namespace striate {

template <class T>
inline void resample(const ResampleCuda<T>& a) {
  constexpr int kPack = Pack<T>::size;
  const int step = int(gridDim.x * blockDim.x);
  for (int64 next = int64(blockIdx.x) * blockDim.x + threadIdx.x; next < a.count; next += step) {
    const int k = int(next), pixel = a.packs.quotient(k);
    const int c = (k - pixel * a.packs.value) * kPack;
    int rest = pixel, o[3];
#pragma unroll
    for (int i = 2; i >= 0; --i) {
      const int before = a.axis[i].out.quotient(rest);
      o[i] = rest - before * a.axis[i].out.value;
      rest = before;
    }
    T sum[kPack] = {};
    const ResampleAxisCuda &depth = a.axis[0], &height = a.axis[1], &width = a.axis[2];
    for (int64 d = depth.begin[o[0]]; d < depth.begin[o[0] + 1]; ++d) {
      const int64 plane = int64(rest) * depth.in + depth.at[d];
      for (int64 h = height.begin[o[1]]; h < height.begin[o[1] + 1]; ++h) {
        const int64 row = plane * height.in + height.at[h];
        const T of_row = T(depth.weight[d] * height.weight[h]);
        for (int64 w = width.begin[o[2]]; w < width.begin[o[2] + 1]; ++w) {
          const T* from = a.x + (row * width.in + width.at[w]) * a.channels;
          const Vec<T> weight{of_row * T(width.weight[w])};
          const Pack<T> x = load_row(from, c, a.channels, T(0));
#pragma unroll
          for (int e = 0; e < kPack; ++e) sum[e] = fma(weight, Vec<T>{x.at[e]}, Vec<T>{sum[e]}).v;
        }
      }
    }
    Pack<T> y;
#pragma unroll
    for (int e = 0; e < kPack; ++e) y.at[e] = sum[e];
    store_row(a.y + int64(pixel) * a.channels, c, a.channels, y);
  }
}

}  // namespace striate

extern "C" __global__ void __launch_bounds__(256)
    interpolate_f32_cuda(striate::ResampleCuda<float> args) {
  striate::resample(args);
}
extern "C" __global__ void __launch_bounds__(256)
    interpolate_f64_cuda(striate::ResampleCuda<double> args) {
  striate::resample(args);
}
