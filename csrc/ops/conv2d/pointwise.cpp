// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/pointwise.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/implicit.h"

namespace striate {
namespace {

// A small result of many pixels has few tiles, and threads that share them pack the same columns:
// parts of the sum then, of sizes that do not depend on the threads, added in order. (Two threads,
// Zen 5: 64 x 192 over 12,544 pixels 0.89 and 0.65 ms.)
template <class T>
void summed(const ConvShape& s, const T* x, const T* dy, T* dw, bool add) {
  const ptrdiff_t pixels = s.n * s.p * s.q, size = s.k * s.c,
                  parts = conv_pixel_parts(pixels, double(size));
  auto product = [&](ptrdiff_t begin, ptrdiff_t end, T* to, bool more) {
    GemmProblem<T> p{1,
                     s.k,
                     s.c,
                     end - begin,
                     {dy + begin * s.k, 1, s.k, 0},
                     {x + begin * s.c, s.c, 1, 0},
                     {to, s.c, 1, 0}};
    p.beta = T(more);
    gemm(p);
  };
  if (parts == 1) return product(0, pixels, dw, add);
  Workspace<T> sums(size_t(parts * size));
  const ptrdiff_t each = ceil_div(pixels, parts);
  auto one = [&](ptrdiff_t part) {
    product(std::min(part * each, pixels), std::min((part + 1) * each, pixels),
            sums.data() + part * size, false);
  };
  if (threads_here() <= parts) {
    parallel_for(parts, one);
  } else {  // each by all threads
    for (ptrdiff_t part = 0; part < parts; ++part) one(part);
  }
  parallel_ranges(size, 1 << 13, 16, [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t part = 0; part < parts; ++part) {
      const T* from = sums.data() + part * size;
      for (ptrdiff_t i = begin; i < end; ++i) dw[i] = part > 0 || add ? dw[i] + from[i] : from[i];
    }
  });
}

// The pixels that 1x1 filters at a stride meet.
template <class T>
Workspace<T> sampled(const ConvShape& s, const T* x) {
  Workspace<T> pixels(size_t(s.n * s.p * s.q * s.c));
  parallel_ranges(s.n * s.p, (1 << 14) / (s.q * s.c + 1) + 1, 1,
                  [&](ptrdiff_t begin, ptrdiff_t end) {
                    for (ptrdiff_t row = begin; row < end; ++row) {
                      const T* from = x + (row / s.p * s.h + row % s.p * s.stride_h) * s.w * s.c;
                      T* to = pixels.data() + row * s.q * s.c;
                      for (ptrdiff_t q = 0; q < s.q; ++q)
                        std::copy_n(from + q * s.stride_w * s.c, s.c, to + q * s.c);
                    }
                  });
  return pixels;
}

}  // namespace

template <class T>
void pointwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  GemmProblem<T> p{1, s.n * s.p * s.q, s.k, s.c, {x, s.c, 1, 0}, {w, 1, s.c, 0}, {y, s.k, 1, 0}};
  p.epilogue = of_group(e, 0);
  gemm(p);
}

template <class T>
void pointwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  GemmProblem<T> p{1, s.n * s.p * s.q, s.c, s.k, {dy, s.k, 1, 0}, {w, s.c, 1, 0}, {dx, s.c, 1, 0}};
  p.epilogue = of_group(e, 0);
  gemm(p);
}

template <class T>
void pointwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  summed(s, x, dy, dw, false);
}

template <class T>
void sampled_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  each_part(s, double(s.p * s.q * s.c) * sizeof(T), [&](const ConvShape& part, ptrdiff_t n) {
    summed<T>(part, sampled(part, x + n * s.h * s.w * s.c).data(), dy + n * s.p * s.q * s.k, dw,
              n > 0);
  });
}

#define INSTANCES(T)                                                                              \
  template void pointwise_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void pointwise_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void pointwise_bwd_weight(const ConvShape&, const T*, const T*, T*);                   \
  template void sampled_bwd_weight(const ConvShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
