// SPDX-License-Identifier: Apache-2.0
// Pooling of channels-last images (pool2d_cuda.h): maximum, sum over a divisor, root of a mean of
// squares, and the gradients of the first two.
//
// A thread makes 16 bytes of channels of a pixel, and neighbours the next ones. Bound: memory, one
// stream in and one out; windows that overlap come from L1 and L2. Gradients gather: an input asks
// the outputs whose windows hold it, in their order, so there are no atomics, and equal bits in
// every run.
//
// pool2d_{max,sum,lp2}_{f32,f64}_cuda(PoolCuda), pool2d_bwd_{max,sum}_{f32,f64}_cuda(PoolCuda):
// launch as pool2d_cuda.h says. No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/pool2d/pool2d_cuda.h"

namespace striate {

// The taps of an output that lie inside: begin, begin + dilation, …, the first being number `tap`.
struct Window {
  int begin, tap, count, padded;
};

inline int larger(int a, int b) { return a > b ? a : b; }

inline Window window_of(const PoolCudaAxis& s, int o) {
  if (s.stride == 0) {
    const int begin = int(int64(o) * s.in / s.out);
    const int count = int(ceil_div(int64(o + 1) * s.in, int64(s.out))) - begin;
    return {begin, 0, count, count};
  }
  const int begin = o * s.stride - s.padding;
  const int skipped = begin < 0 ? ceil_div(-begin, s.dilation) : 0;
  const int inside = begin + skipped * s.dilation;
  const int there = inside < s.in ? ceil_div(s.in - inside, s.dilation) : 0;
  const int count = larger(smaller(there, s.kernel - skipped), 0);
  return {inside, skipped, count, smaller(begin + s.kernel, s.in + s.padding) - begin};
}

// The outputs that may hold an input: [first, last].
struct Holders {
  int first, last;
};
inline Holders holders_of(const PoolCudaAxis& s, int at) {
  if (s.stride == 0)
    return {int(int64(at) * s.out / s.in), int(ceil_div(int64(at + 1) * s.out, int64(s.in))) - 1};
  const int span = (s.kernel - 1) * s.dilation;
  const int first = at + s.padding - span;
  return {first > 0 ? ceil_div(first, s.stride) : 0,
          smaller((at + s.padding) / s.stride, s.out - 1)};
}
// Which tap of an output the input is, or -1.
inline int tap_of(const PoolCudaAxis& s, int o, int at) {
  if (s.stride == 0) {
    const Window w = window_of(s, o);
    return w.begin <= at && at < w.begin + w.count ? at - w.begin : -1;
  }
  const int off = at + s.padding - o * s.stride, tap = off / s.dilation;
  return tap * s.dilation == off ? tap : -1;
}

// The factor of one axis of a divisor.
template <class T>
inline T divisor_of(const PoolCuda& a, const PoolCudaAxis& s, const Window& w, bool rows) {
  switch (a.divisor_kind) {
    case 0:
      return rows ? T(a.divisor) : T(1);
    case 1:
      return T(w.count);
    case 2:
      return T(w.padded);
    default:
      return T(w.padded) / T(s.kernel);
  }
}

// f(n, i, j, c) for each pack of channels of each pixel that is this thread's.
template <class F>
inline void each_pack(const PoolCuda& a, int pack, F f) {
  const int64 count = int64(a.images) * a.h.size.value * a.w.size.value * a.packs.value;
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 k = int64(blockIdx.x) * blockDim.x + threadIdx.x; k < count; k += step) {
    const int pixel = a.packs.quotient(int(k)), line = a.w.size.quotient(pixel);
    const int n = a.h.size.quotient(line);
    f(n, line - n * a.h.size.value, pixel - line * a.w.size.value,
      (int(k) - pixel * a.packs.value) * pack);
  }
}

template <class T>
inline const T* pixel_at(const PoolCuda& a, int n, int height, int width, int y, int x) {
  return static_cast<const T*>(a.x) + ((int64(n) * height + y) * width + x) * a.channels;
}

template <class T>
inline void pool_max(const PoolCuda& a) {
  constexpr int kPack = Pack<T>::size;
  each_pack(a, kPack, [&](int n, int i, int j, int c) {
    const Window h = window_of(a.h, i), w = window_of(a.w, j);
    T best[kPack];
    int tap[kPack];
#pragma unroll
    for (int e = 0; e < kPack; ++e) best[e] = Max::none<T>(), tap[e] = h.tap * a.w.kernel + w.tap;
    for (int r = 0; r < h.count; ++r)
      for (int s = 0; s < w.count; ++s) {
        const T* from = pixel_at<T>(a, n, a.h.in, a.w.in, h.begin + r * a.h.dilation,
                                    w.begin + s * a.w.dilation);
        const Pack<T> x = load_row(from, c, a.channels, T(0));
        const int here = (h.tap + r) * a.w.kernel + w.tap + s;
#pragma unroll
        for (int e = 0; e < kPack; ++e)
          if (x.at[e] != x.at[e] || x.at[e] > best[e]) best[e] = x.at[e], tap[e] = here;
      }
    const int64 to = ((int64(n) * a.h.out + i) * a.w.out + j) * a.channels;
    Pack<T> y;
#pragma unroll
    for (int e = 0; e < kPack; ++e) y.at[e] = best[e];
    store_row(static_cast<T*>(a.y) + to, c, a.channels, y);
    if (!a.taps) return;
#pragma unroll
    for (int e = 0; e < kPack; ++e) {
      if (c + e >= a.channels) break;
      if (a.wide_taps)
        static_cast<T*>(a.taps)[to + c + e] = T(tap[e]);
      else
        static_cast<unsigned char*>(a.taps)[to + c + e] = (unsigned char)(tap[e]);
    }
  });
}

// A sum adds up each row of taps first, then the rows, as on the CPU.
template <bool kSquares, class T>
inline void pool_sum(const PoolCuda& a) {
  constexpr int kPack = Pack<T>::size;
  each_pack(a, kPack, [&](int n, int i, int j, int c) {
    const Window h = window_of(a.h, i), w = window_of(a.w, j);
    T total[kPack] = {};
    for (int r = 0; r < h.count; ++r) {
      T row[kPack] = {};
      for (int s = 0; s < w.count; ++s) {
        const T* from = pixel_at<T>(a, n, a.h.in, a.w.in, h.begin + r * a.h.dilation,
                                    w.begin + s * a.w.dilation);
        const Pack<T> x = load_row(from, c, a.channels, T(0));
#pragma unroll
        for (int e = 0; e < kPack; ++e) row[e] += kSquares ? x.at[e] * x.at[e] : x.at[e];
      }
#pragma unroll
      for (int e = 0; e < kPack; ++e) total[e] += row[e];
    }
    const T divisor = divisor_of<T>(a, a.h, h, true) * divisor_of<T>(a, a.w, w, false);
    Pack<T> y;
#pragma unroll
    for (int e = 0; e < kPack; ++e) {
      y.at[e] = total[e] / divisor;
      if (kSquares) y.at[e] = sqrt(Vec<T>{y.at[e]}).v;
    }
    store_row(static_cast<T*>(a.y) + ((int64(n) * a.h.out + i) * a.w.out + j) * a.channels, c,
              a.channels, y);
  });
}

// add(dy, its place, tap) of each output that holds the input (i, j).
template <class F>
inline void each_holder(const PoolCuda& a, int n, int i, int j, F add) {
  const Holders h = holders_of(a.h, i), w = holders_of(a.w, j);
  for (int p = h.first; p <= h.last; ++p) {
    const int r = tap_of(a.h, p, i);
    if (r < 0) continue;
    for (int q = w.first; q <= w.last; ++q) {
      const int s = tap_of(a.w, q, j);
      if (s >= 0)
        add(p, q, ((int64(n) * a.h.out + p) * a.w.out + q) * a.channels, r * a.w.kernel + s);
    }
  }
}

template <bool kMax, class T>
inline void pool_backward(const PoolCuda& a) {
  constexpr int kPack = Pack<T>::size;
  each_pack(a, kPack, [&](int n, int i, int j, int c) {
    Pack<T> sum = {};
    each_holder(a, n, i, j, [&](int p, int q, int64 from, int tap) {
      const Pack<T> dy = load_row(static_cast<const T*>(a.x) + from, c, a.channels, T(0));
      if constexpr (kMax) {
#pragma unroll
        for (int e = 0; e < kPack; ++e) {
          if (c + e >= a.channels) break;
          const int64 at = from + c + e;
          const int taken = a.wide_taps ? int(static_cast<const T*>(a.taps)[at])
                                        : static_cast<const unsigned char*>(a.taps)[at];
          if (taken == tap) sum.at[e] += dy.at[e];
        }
      } else {
        const T scale = T(1) / (divisor_of<T>(a, a.h, window_of(a.h, p), true) *
                                divisor_of<T>(a, a.w, window_of(a.w, q), false));
#pragma unroll
        for (int e = 0; e < kPack; ++e) sum.at[e] += dy.at[e] * scale;
      }
    });
    store_row(static_cast<T*>(a.y) + ((int64(n) * a.h.in + i) * a.w.in + j) * a.channels, c,
              a.channels, sum);
  });
}

}  // namespace striate

#define KERNEL(name, ...)                                                          \
  extern "C" __global__ void __launch_bounds__(256) name(striate::PoolCuda args) { \
    striate::__VA_ARGS__(args);                                                    \
  }
#define KERNELS(dtype, T)                                       \
  KERNEL(pool2d_max_##dtype##_cuda, pool_max<T>)                \
  KERNEL(pool2d_sum_##dtype##_cuda, pool_sum<false, T>)         \
  KERNEL(pool2d_lp2_##dtype##_cuda, pool_sum<true, T>)          \
  KERNEL(pool2d_bwd_max_##dtype##_cuda, pool_backward<true, T>) \
  KERNEL(pool2d_bwd_sum_##dtype##_cuda, pool_backward<false, T>)
KERNELS(f32, float)
KERNELS(f64, double)
