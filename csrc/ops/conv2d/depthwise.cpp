// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/depthwise.h"

#include <algorithm>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what) STRIATE_KERNEL(conv2d, name, T, isa, int(Depthwise::what))
#include "ops/conv2d/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kParallelWork = 1 << 16;  // multiply-adds below which one thread is quicker
constexpr ptrdiff_t kRowsAPart = 16;          // image rows a part of the weight gradient; fixed

template <class T>
DepthwisePixelFn<T>* pixel_kernel() {
  return kernels.best(dtype_of<T>, int(Depthwise::depthwise_pixel))
      .template as<DepthwisePixelFn<T>>();
}

template <class F>
void share_rows(ptrdiff_t rows, ptrdiff_t work_a_row, F&& body) {
  parallel_ranges(rows, kParallelWork / std::max<ptrdiff_t>(work_a_row, 1) + 1, 1,
                  [&](ptrdiff_t begin, ptrdiff_t end) {
                    for (ptrdiff_t row = begin; row < end; ++row) body(row);
                  });
}

// One output pixel from the taps that `tap(r, s)` gives an input pixel for (null: outside).
template <class T, class Find>
void gather(const ConvShape& s, const T* w, DepthwisePixel<T>& a, const T** x, const T** weights,
            Find&& find) {
  a.taps = 0;
  for (ptrdiff_t r = 0; r < s.r; ++r) {
    for (ptrdiff_t t = 0; t < s.s; ++t) {
      const T* pixel = find(r, t);
      if (pixel == nullptr) continue;
      x[a.taps] = pixel;
      weights[a.taps++] = w + (r * s.s + t) * s.c;
    }
  }
}

// [C, R, S] to [R, S, C], so that a tap's weights are unit-stride over channels.
template <class T>
void by_tap(const ConvShape& s, const T* w, T* out) {
  transpose_kernel<T>()(w, s.r * s.s, s.c, s.r * s.s, out, s.c);
}

template <class T>
void finish(const Epilogue<T>& e, T* row, ptrdiff_t n) {
  if (e.activation) e.activation(row, row, n, e.parameter);
}

// The row of the small image that meets row h of the large one under filter row r, or -1.
ptrdiff_t meeting(ptrdiff_t h, ptrdiff_t pad, ptrdiff_t r, ptrdiff_t dilation, ptrdiff_t stride,
                  ptrdiff_t limit) {
  ptrdiff_t at = h + pad - r * dilation;
  if (at < 0 || at % stride != 0) return -1;
  return at / stride < limit ? at / stride : -1;
}

}  // namespace

template <class T>
void depthwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  auto* kernel = pixel_kernel<T>();
  share_rows(s.n * s.p, s.q * s.r * s.s * s.c, [&](ptrdiff_t row) {
    Workspace<const T*> at(size_t(s.r * s.s)), weight(size_t(s.r * s.s));
    ptrdiff_t n = row / s.p, h0 = row % s.p * s.stride_h - s.top;
    DepthwisePixel<T> a{at.data(), weight.data(), 0, s.c, e.bias, e.low, e.high, nullptr};
    for (ptrdiff_t q = 0; q < s.q; ++q) {
      ptrdiff_t w0 = q * s.stride_w - s.left;
      gather(s, weights.data(), a, at.data(), weight.data(), [&](ptrdiff_t r, ptrdiff_t t) {
        ptrdiff_t h = h0 + r * s.dilation_h, v = w0 + t * s.dilation_w;
        bool inside = size_t(h) < size_t(s.h) && size_t(v) < size_t(s.w);
        return inside ? x + ((n * s.h + h) * s.w + v) * s.c : nullptr;
      });
      a.out = y + (row * s.q + q) * s.c;
      kernel(a);
    }
    finish(e, y + row * s.q * s.c, s.q * s.c);
  });
}

template <class T>
void depthwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  auto* kernel = pixel_kernel<T>();
  share_rows(s.n * s.h, s.w * s.r * s.s * s.c, [&](ptrdiff_t row) {
    Workspace<const T*> at(size_t(s.r * s.s)), weight(size_t(s.r * s.s));
    ptrdiff_t n = row / s.h, h = row % s.h;
    DepthwisePixel<T> a{at.data(), weight.data(), 0, s.c, e.bias, e.low, e.high, nullptr};
    for (ptrdiff_t v = 0; v < s.w; ++v) {
      gather(s, weights.data(), a, at.data(), weight.data(), [&](ptrdiff_t r, ptrdiff_t t) {
        ptrdiff_t p = meeting(h, s.top, r, s.dilation_h, s.stride_h, s.p);
        ptrdiff_t q = meeting(v, s.left, t, s.dilation_w, s.stride_w, s.q);
        return p < 0 || q < 0 ? nullptr : dy + ((n * s.p + p) * s.q + q) * s.c;
      });
      a.out = dx + (row * s.w + v) * s.c;
      kernel(a);
    }
    finish(e, dx + row * s.w * s.c, s.w * s.c);
  });
}

template <class T>
void depthwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  auto* kernel = kernels.best(dtype_of<T>, int(Depthwise::depthwise_weight))
                     .template as<DepthwiseWeightFn<T>>();
  const ptrdiff_t taps = s.r * s.s, rows = s.n * s.p;
  const ptrdiff_t parts = std::max<ptrdiff_t>((rows + kRowsAPart - 1) / kRowsAPart, 1);
  Workspace<T> partial(size_t(parts * taps * s.c));  // [part][tap][C]
  std::fill_n(partial.data(), parts * taps * s.c, T(0));
  parallel_for(parts, [&](ptrdiff_t part) {
    for (ptrdiff_t row = part * kRowsAPart; row < std::min((part + 1) * kRowsAPart, rows); ++row) {
      for (ptrdiff_t tap = 0; tap < taps; ++tap) {
        ptrdiff_t n = row / s.p, h = row % s.p * s.stride_h + tap / s.s * s.dilation_h - s.top;
        if (h < 0 || h >= s.h) continue;
        ptrdiff_t offset = tap % s.s * s.dilation_w - s.left;  // w = q stride + offset
        ptrdiff_t q0 = offset >= 0 ? 0 : (-offset + s.stride_w - 1) / s.stride_w;
        ptrdiff_t q1 = offset >= s.w ? 0 : std::min(s.q, (s.w - 1 - offset) / s.stride_w + 1);
        if (q0 >= q1) continue;
        kernel({x + ((n * s.h + h) * s.w + q0 * s.stride_w + offset) * s.c,
                dy + (row * s.q + q0) * s.c, s.stride_w * s.c, s.c, q1 - q0, s.c,
                partial.data() + (part * taps + tap) * s.c});
      }
    }
  });
  for (ptrdiff_t part = 1; part < parts; ++part)
    for (ptrdiff_t i = 0; i < taps * s.c; ++i) partial[i] += partial[part * taps * s.c + i];
  transpose_kernel<T>()(partial.data(), s.c, taps, s.c, dw, taps);  // [tap][C] to [C][tap]
}

#define INSTANCES(T)                                                                              \
  template void depthwise_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void depthwise_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void depthwise_bwd_weight(const ConvShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
