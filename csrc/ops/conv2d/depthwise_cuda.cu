// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution (depthwise_cuda.h), sums in float32, of float64 in float64.
//
// A thread makes 16 bytes of channels of a pixel, a warp 512 of it, so pixels are read as memory
// runs; weights, which lie by filter, wait in shared memory by tap:
//
//     shared   tap 0   w[c], w[c + 1], …      32 packs of channels, as sums
//              tap 1   w[c], w[c + 1], …
//
// Bound: memory. Of the R S pixels that meet in an output all but one come from L1 or L2. The
// gradient of weights adds up pixels in chains, one for each tap, channel and eighth of a part;
// four taps at a time, so dy is read once for four. Parts of some 512 pixels stay in L2, and keep
// rounding errors small; gemm_parts_{f32,f64}_cuda add them up, with m = K and n = R S.
//
// conv2d_{fwd,bwd_data,bwd_weight}_{f32,bf16,f16}_cuda_depthwise(DepthwiseCuda)
// conv2d_{fwd,bwd_data,bwd_weight}_f64_cuda_depthwise(DepthwiseOf<double>)
//   launch as depthwise_cuda.h says. Shared memory of bwd_weight: static, 8 KiB.
#include "cuda/device/column.cuh"
#include "cuda/device/narrow.cuh"
#include "cuda/device/row.cuh"
#include "ops/conv2d/depthwise_cuda.h"

namespace striate {

template <class T>
struct Channels {
  using R = SumType<T>;
  static constexpr int count = Pack<T>::size;
  R at[count];
};
template <class T>
using Arguments = DepthwiseOf<SumType<T>>;

// Elements i / each, (i + 1) / each, … of a pixel of n channels; 0 past them.
template <class T>
inline Channels<T> load_channels(const T* pixel, int i, int n, const Divisor& each) {
  Channels<T> x;
  if (each.value == 1) {
    const Pack<T> pack = load_row(pixel, i, n, T{});
#pragma unroll
    for (int e = 0; e < x.count; ++e) x.at[e] = widened(pack.at[e]);
  } else {
#pragma unroll
    for (int e = 0; e < x.count; ++e) {
      const int c = each.quotient(i + e);
      x.at[e] = c < n ? widened(pixel[c]) : 0;
    }
  }
  return x;
}

struct Pixel {
  int n, i, j;
};
inline Pixel pixel_of(int index, const Divisor& height, const Divisor& width) {
  const int line = width.quotient(index), n = height.quotient(line);
  return {n, line - n * height.value, index - line * width.value};
}

// The weights of this block's channels in shared memory, [filters of a channel][taps][channels].
template <class T>
inline Shared<SumType<T>> stage_weights(const Arguments<T>& a, int first, int channels,
                                        int filters) {
  constexpr int kWide = 32 * Pack<T>::size;
  const int taps = a.taps_h * a.taps_w, count = filters * taps * kWide;
  const Shared<SumType<T>> weights = dynamic_shared<SumType<T>>(0, count);
  for (int i = int(threadIdx.y) * 32 + int(threadIdx.x); i < count; i += 256) {
    const int line = i / kWide, c = first + i - line * kWide, f = line / taps;
    const int64 at = (int64(c) * filters + f) * taps + (line - f * taps);
    weights[i] = c < channels ? widened(static_cast<const T*>(a.w)[at]) : 0;
  }
  __syncthreads();
  return weights;
}

template <class C, class T>
inline void store_as(const Arguments<T>& a, int64 pixel, int c, int n, const Channels<T>& sum) {
  constexpr int kPack = Pack<C>::size;
#pragma unroll
  for (int first = 0; first < sum.count; first += kPack) {
    Pack<C> y;
#pragma unroll
    for (int e = 0; e < kPack; ++e) {
      const int at = c + first + e;
      SumType<T> x = sum.at[first + e] + (a.bias && at < n ? a.bias[at] : 0);
      x = a.high < x ? a.high : x;  // NaN stays
      y.at[e] = narrowed<C>(a.low > x ? a.low : x);
    }
    store_row(static_cast<C*>(a.out) + pixel * n, c + first, n, y);
  }
}
// Channels c, c + 1, … of a pixel of n channels.
template <class T>
inline void store_channels(const Arguments<T>& a, int64 pixel, int c, int n,
                           const Channels<T>& sum) {
  if constexpr (sizeof(T) == 2) {
    if (a.out_is_narrow) return store_as<T>(a, pixel, c, n, sum);
  }
  store_as<SumType<T>>(a, pixel, c, n, sum);
}

// sum += x * the weights at `line`, of this thread's channels.
template <class T>
inline void add_tap(Channels<T>& sum, const Channels<T>& x, Shared<SumType<T>> line) {
  constexpr int kPack = Pack<SumType<T>>::size;
#pragma unroll
  for (int e = 0; e < sum.count; e += kPack) {
    const Pack<SumType<T>> w = load16(line + (int(threadIdx.x) * sum.count + e));
#pragma unroll
    for (int f = 0; f < kPack; ++f)
      sum.at[e + f] = multiply_add(x.at[e + f], w.at[f], sum.at[e + f]);
  }
}

template <class T>
inline void depthwise_fwd(const Arguments<T>& a) {
  constexpr int kPack = Pack<T>::size, kWide = 32 * kPack;
  const int first = int(blockIdx.x) * kWide, k = first + int(threadIdx.x) * kPack;
  const Shared<SumType<T>> weights = stage_weights<T>(a, first, a.filters, 1);
  const int pixels = a.images * a.out_h.value * a.out_w.value;
  if (k >= a.filters) return;
  for (int m = int(blockIdx.y) * 8 + int(threadIdx.y); m < pixels; m += int(gridDim.y) * 8) {
    const Pixel to = pixel_of(m, a.out_h, a.out_w);
    const int top = to.i * a.stride_h.value - a.top, left = to.j * a.stride_w.value - a.left;
    Channels<T> sum = {};
    for (int r = 0; r < a.taps_h; ++r) {
      const int y = top + r * a.dilation_h;
      if (uint32(y) >= uint32(a.height)) continue;
      for (int s = 0; s < a.taps_w; ++s) {
        const int x = left + s * a.dilation_w;
        if (uint32(x) >= uint32(a.width)) continue;
        const T* from =
            static_cast<const T*>(a.x) + ((int64(to.n) * a.height + y) * a.width + x) * a.channels;
        add_tap(sum, load_channels(from, k, a.channels, a.multiplier),
                weights + (r * a.taps_w + s) * kWide);
      }
    }
    store_channels<T>(a, m, k, a.filters, sum);
  }
}

// The output that meets input `at` (padding counted) under a tap, or -1.
inline int output_of(int at, const Divisor& stride, int outputs) {
  if (at < 0) return -1;
  const int i = stride.quotient(at);
  return i < outputs && i * stride.value == at ? i : -1;
}

template <class T>
inline void depthwise_bwd_data(const Arguments<T>& a) {
  constexpr int kPack = Pack<T>::size, kWide = 32 * kPack;
  const int first = int(blockIdx.x) * kWide, c = first + int(threadIdx.x) * kPack;
  const int each = a.multiplier.value, taps = a.taps_h * a.taps_w;
  const Shared<SumType<T>> weights = stage_weights<T>(a, first, a.channels, each);
  const int pixels = a.images * a.height * a.width;
  if (c >= a.channels) return;
  for (int m = int(blockIdx.y) * 8 + int(threadIdx.y); m < pixels; m += int(gridDim.y) * 8) {
    const Pixel to = pixel_of(m, a.in_h, a.in_w);
    Channels<T> sum = {};
    for (int r = 0; r < a.taps_h; ++r) {
      const int p = output_of(to.i + a.top - r * a.dilation_h, a.stride_h, a.out_h.value);
      if (p < 0) continue;
      for (int s = 0; s < a.taps_w; ++s) {
        const int q = output_of(to.j + a.left - s * a.dilation_w, a.stride_w, a.out_w.value);
        if (q < 0) continue;
        const T* from = static_cast<const T*>(a.dy) +
                        ((int64(to.n) * a.out_h.value + p) * a.out_w.value + q) * a.filters;
        const Shared<SumType<T>> line = weights + (r * a.taps_w + s) * kWide;
        if (each == 1) {
          add_tap(sum, load_channels(from, c, a.filters, a.multiplier), line);
        } else {
          for (int f = 0; f < each; ++f) {
            Channels<T> x;
#pragma unroll
            for (int e = 0; e < x.count; ++e)
              x.at[e] = c + e < a.channels ? widened(from[(c + e) * each + f]) : 0;
            add_tap(sum, x, line + f * taps * kWide);
          }
        }
      }
    }
    store_channels<T>(a, m, c, a.channels, sum);
  }
}

template <class T>
inline void depthwise_bwd_weight(const Arguments<T>& a) {
  constexpr int kPack = Pack<T>::size, kTogether = kPack == 8 ? 2 : 4;
  const int k = (int(blockIdx.x) * 32 + int(threadIdx.x)) * kPack, taps = a.taps_h * a.taps_w;
  const int pixels = a.images * a.out_h.value * a.out_w.value;
  const int begin = int(blockIdx.y) * a.part, end = smaller(begin + a.part, pixels);
  using R = SumType<T>;
  R* out = static_cast<R*>(a.out) + int64(blockIdx.y) * a.filters * taps;
  const Divisor one = {1, 1, 0};
  for (int tap0 = 0; tap0 < taps; tap0 += kTogether) {
    R sum[kTogether * kPack] = {};
    for (int m = begin + int(threadIdx.y); m < end && k < a.filters; m += kWays) {
      const Pixel to = pixel_of(m, a.out_h, a.out_w);
      const Channels<T> d =
          load_channels(static_cast<const T*>(a.dy) + int64(m) * a.filters, k, a.filters, one);
#pragma unroll
      for (int t = 0; t < kTogether; ++t) {
        const int r = (tap0 + t) / a.taps_w, s = tap0 + t - r * a.taps_w;
        const int y = to.i * a.stride_h.value - a.top + r * a.dilation_h;
        const int x = to.j * a.stride_w.value - a.left + s * a.dilation_w;
        if (r >= a.taps_h || uint32(y) >= uint32(a.height) || uint32(x) >= uint32(a.width))
          continue;
        const T* from =
            static_cast<const T*>(a.x) + ((int64(to.n) * a.height + y) * a.width + x) * a.channels;
        const Channels<T> v = load_channels(from, k, a.channels, a.multiplier);
#pragma unroll
        for (int e = 0; e < kPack; ++e)
          sum[t * kPack + e] = multiply_add(d.at[e], v.at[e], sum[t * kPack + e]);
      }
    }
    reduce_ways<Sum>(sum);
    if (threadIdx.y != 0) continue;
#pragma unroll
    for (int t = 0; t < kTogether; ++t)
#pragma unroll
      for (int e = 0; e < kPack; ++e)
        if (tap0 + t < taps && k + e < a.filters)
          out[int64(k + e) * taps + tap0 + t] = sum[t * kPack + e];
  }
}

}  // namespace striate

#define KERNEL(pass, dtype, T)                                               \
  extern "C" __global__ void __launch_bounds__(256)                          \
      conv2d_##pass##_##dtype##_cuda_depthwise(striate::Arguments<T> args) { \
    striate::depthwise_##pass<T>(args);                                      \
  }
#define KERNELS(dtype, T)    \
  KERNEL(fwd, dtype, T)      \
  KERNEL(bwd_data, dtype, T) \
  KERNEL(bwd_weight, dtype, T)
KERNELS(f32, float)
KERNELS(f64, double)
KERNELS(bf16, striate::bfloat16)
KERNELS(f16, striate::float16)
