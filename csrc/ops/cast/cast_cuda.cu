// SPDX-License-Identifier: Apache-2.0
// Between float32 and bfloat16 (cast.h), arrays without gaps. Whole bits: denormals are numbers.
//
// Bound: memory, 6 bytes an element, in accesses of 16 bytes where addresses allow.
//
// cast_widen_bf16_cuda(x, y, n)    bfloat16 x, float y
// cast_narrow_f32_cuda(x, y, n)    float x, bfloat16 y
//   block 256, grid any, ceil(n / 2048) or less. No shared memory.
#include "cuda/device/memory.cuh"

namespace striate {

inline void cast_one(bfloat16 x, float* y) { *y = to_float(x); }
inline void cast_one(float x, bfloat16* y) { *y = to_bfloat16(x); }

template <class From, class To>
inline void cast(const From* x, To* y, int64 n) {
  constexpr int kWide = 8, kFrom = Pack<From>::size, kTo = Pack<To>::size;
  const int64 first = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 step = int64(gridDim.x) * blockDim.x;
  int64 done = 0;
  if (aligned16(x) && aligned16(y)) {
    for (int64 i = first; i < n / kWide; i += step) {
      Pack<From> from[kWide / kFrom];
      Pack<To> to[kWide / kTo];
#pragma unroll
      for (int p = 0; p < kWide / kFrom; ++p) from[p] = load16(x + i * kWide + p * kFrom);
#pragma unroll
      for (int e = 0; e < kWide; ++e)
        cast_one(from[e / kFrom].at[e % kFrom], &to[e / kTo].at[e % kTo]);
#pragma unroll
      for (int p = 0; p < kWide / kTo; ++p) store16(y + i * kWide + p * kTo, to[p]);
    }
    done = n / kWide * kWide;
  }
  for (int64 i = done + first; i < n; i += step) cast_one(x[i], y + i);
}

}  // namespace striate

extern "C" __global__ void __launch_bounds__(256)
    cast_widen_bf16_cuda(const striate::bfloat16* x, float* y, long long n) {
  striate::cast(x, y, n);
}
extern "C" __global__ void __launch_bounds__(256)
    cast_narrow_f32_cuda(const float* x, striate::bfloat16* y, long long n) {
  striate::cast(x, y, n);
}
