// SPDX-License-Identifier: Apache-2.0
// The rate at which a GPU multiplies and adds from registers, by CUDA cores and by tensor cores.
//
// peak_fma_<dtype>_cuda(rounds, out)      out [threads of the grid]
//   Chain i of a thread begins at i, and each round makes it 0.999 chain + 0.001; out is the sum of
//   the 8. A scheduler of four cycles' latency wants 4 warps or chains; 16 warps of 8 are given.
// peak_mma_{tf32,bf16,f16}_cuda(x, rounds, out)      out [warps of the grid, 16, 8]
//   x holds a [16, K] and b [K, 8], K 8 for tf32, else 16; each round makes d += a b of 8 tiles,
//   tile i from i on; out is the sum of the 8. So one round tells whether fragments lie where
//   mma.cuh says that they do. mma.sync alone: wgmma, which Hopper has beside it, reaches more.
//
// Block 256, any grid. Shared memory: none. Tiles begin apart, or the compiler would merge them.
#include "cuda/device/mma.cuh"

namespace striate {
namespace {

constexpr int kChains = 8, kM = 16, kN = 8;

inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }

template <class T>
inline void peak_fma(int64 rounds, T* out) {
  T chain[kChains], total = 0;
#pragma unroll
  for (int i = 0; i < kChains; ++i) chain[i] = T(i);
  for (int64 r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < kChains; ++i) chain[i] = multiply_add(chain[i], T(0.999), T(0.001));
#pragma unroll
  for (int i = 0; i < kChains; ++i) total += chain[i];
  out[blockIdx.x * int64(blockDim.x) + threadIdx.x] = total;
}

struct Tf32 {  // d += a b with K = 8
  static constexpr int kK = 8;
  static void load(const float* a, const float* b, int g, int t, uint32 (&p)[4], uint32 (&q)[2]) {
    for (int i = 0; i < 4; ++i) p[i] = to_tf32(a[(g + i % 2 * 8) * kK + t + i / 2 * 4]);
    for (int i = 0; i < 2; ++i) q[i] = to_tf32(b[(t + i * 4) * kN + g]);
  }
  static void add(float (&d)[4], const uint32 (&p)[4], const uint32 (&q)[2]) { mma_tf32(d, p, q); }
};

inline void narrow(float x, bfloat16& y) { y = to_bfloat16(x); }
inline void narrow(float x, float16& y) { y = to_float16(x); }

template <class T>
struct Narrow {  // the same with K = 16
  static constexpr int kK = 16;
  static uint32 pair(float first, float second) {
    T low, high;
    narrow(first, low);
    narrow(second, high);
    return uint32(low.bits) | uint32(high.bits) << 16;
  }
  static void load(const float* a, const float* b, int g, int t, uint32 (&p)[4], uint32 (&q)[2]) {
    for (int i = 0; i < 4; ++i) {
      const float* at = a + (g + i % 2 * 8) * kK + 2 * t + i / 2 * 8;
      p[i] = pair(at[0], at[1]);
    }
    for (int i = 0; i < 2; ++i) {
      const float* at = b + (2 * t + i * 8) * kN + g;
      q[i] = pair(at[0], at[kN]);
    }
  }
  static void add(float (&d)[4], const uint32 (&p)[4], const uint32 (&q)[2]) { mma_16<T>(d, p, q); }
};

template <class Unit>
inline void peak_mma(const float* x, int64 rounds, float* out) {
  const int lane = int(threadIdx.x % 32), g = lane / 4, t = lane % 4;
  uint32 a[4], b[2];
  Unit::load(x, x + kM * Unit::kK, g, t, a, b);
  float d[kChains][4];
#pragma unroll
  for (int i = 0; i < kChains; ++i)
    for (int j = 0; j < 4; ++j) d[i][j] = float(i);
  for (int64 r = 0; r < rounds; ++r)
#pragma unroll
    for (int i = 0; i < kChains; ++i) Unit::add(d[i], a, b);
  float* tile = out + (blockIdx.x * int64(blockDim.x) + threadIdx.x) / 32 * (kM * kN);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    float total = 0;
    for (int i = 0; i < kChains; ++i) total += d[i][j];
    tile[(g + j / 2 * 8) * kN + 2 * t + j % 2] = total;
  }
}

}  // namespace
}  // namespace striate

using namespace striate;

extern "C" __global__ void __launch_bounds__(256) peak_fma_f32_cuda(int64 rounds, float* out) {
  peak_fma(rounds, out);
}
extern "C" __global__ void __launch_bounds__(256) peak_fma_f64_cuda(int64 rounds, double* out) {
  peak_fma(rounds, out);
}

#define PEAK_MMA(name, Unit)                                             \
  extern "C" __global__ void __launch_bounds__(256)                      \
      peak_mma_##name##_cuda(const float* x, int64 rounds, float* out) { \
    peak_mma<Unit>(x, rounds, out);                                      \
  }
PEAK_MMA(tf32, Tf32)
PEAK_MMA(bf16, Narrow<bfloat16>)
PEAK_MMA(f16, Narrow<float16>)
