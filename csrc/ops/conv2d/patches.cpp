// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/patches.h"

#include <algorithm>
#include <cstring>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/implicit.h"

namespace striate {
namespace {

constexpr ptrdiff_t kCopyElements = 1 << 14;  // of a task at least

// Positions [first, first + count) of a filter along an axis: from the first to the last at which
// one of its taps lies in the image.
struct Met {
  ptrdiff_t first = 0, count = 0;
  Met(ptrdiff_t size, ptrdiff_t positions, ptrdiff_t before, ptrdiff_t stride, ptrdiff_t taps,
      ptrdiff_t dilation) {
    auto meets = [&](ptrdiff_t i) {
      for (ptrdiff_t t = 0; t < taps; ++t)
        if (size_t(i * stride - before + t * dilation) < size_t(size)) return true;
      return false;
    };
    ptrdiff_t end = positions;
    while (first < end && !meets(first)) ++first;
    while (end > first && !meets(end - 1)) --end;
    count = end - first;
  }
};

Met met_rows(const ConvShape& s) { return {s.h, s.p, s.top, s.stride_h, s.r, s.dilation_h}; }
Met met_columns(const ConvShape& s) { return {s.w, s.q, s.left, s.stride_w, s.s, s.dilation_w}; }

// What a row of a filter at pixel w meets: S taps of C channels, zeros outside.
template <class T>
void copy_taps(const ConvShape& s, const T* row, ptrdiff_t w, T* to) {
  if (s.dilation_w == 1) {
    const ptrdiff_t begin = std::clamp<ptrdiff_t>(-w, 0, s.s);
    const ptrdiff_t end = std::clamp<ptrdiff_t>(s.w - w, begin, s.s);
    std::fill_n(to, begin * s.c, T(0));
    std::copy_n(row + (w + begin) * s.c, (end - begin) * s.c, to + begin * s.c);
    std::fill_n(to + end * s.c, (s.s - end) * s.c, T(0));
    return;
  }
  for (ptrdiff_t t = 0; t < s.s; ++t, w += s.dilation_w, to += s.c)
    if (size_t(w) < size_t(s.w))
      std::copy_n(row + w * s.c, s.c, to);
    else
      std::fill_n(to, s.c, T(0));
}

template <class T>
void copy_patches(const ConvShape& s, const Met& down, const Met& across, const T* x, T* patches) {
  const ptrdiff_t row = s.s * s.c, size = s.r * row;
  const ptrdiff_t grain = kCopyElements / (across.count * size + 1) + 1;
  parallel_ranges(s.n * down.count, grain, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t i = begin; i < end; ++i) {
      const T* image = x + i / down.count * s.h * s.w * s.c;
      const ptrdiff_t h0 = (down.first + i % down.count) * s.stride_h - s.top;
      T* to = patches + i * across.count * size;
      for (ptrdiff_t q = 0; q < across.count; ++q)
        for (ptrdiff_t r = 0; r < s.r; ++r, to += row) {
          const ptrdiff_t h = h0 + r * s.dilation_h;
          if (size_t(h) < size_t(s.h))
            copy_taps(s, image + h * s.w * s.c, (across.first + q) * s.stride_w - s.left, to);
          else
            std::fill_n(to, row, T(0));
        }
    }
  });
}

// All pixels of y: those that were met are in `made`, the others what is made of zero.
template <class T>
void spread(const ConvShape& s, const Met& down, const Met& across, const T* made,
            const Epilogue<T>& e, T* y) {
  Workspace<T> unmet(size_t(s.k));
  for (ptrdiff_t j = 0; j < s.k; ++j) {
    const T value = e.bias ? e.bias[j] : T(0);
    unmet[size_t(j)] = e.clamps() ? e.clamped(value) : value;
  }
  if (e.activation) e.activation(unmet.data(), unmet.data(), s.k, e.parameter);
  const ptrdiff_t grain = kCopyElements / (s.q * s.k + 1) + 1;
  parallel_ranges(s.n * s.p, grain, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t i = begin; i < end; ++i) {
      const ptrdiff_t p = i % s.p - down.first, n = i / s.p;
      const T* row = made + (n * down.count + p) * across.count * s.k;
      T* to = y + i * s.q * s.k;
      for (ptrdiff_t q = 0; q < s.q; ++q, to += s.k) {
        const ptrdiff_t at = q - across.first;
        const bool met = size_t(p) < size_t(down.count) && size_t(at) < size_t(across.count);
        std::copy_n(met ? row + at * s.k : unmet.data(), s.k, to);
      }
    }
  });
}

}  // namespace

double patches_met(const ConvShape& s) {
  return double(met_rows(s).count) * double(met_columns(s).count) / (double(s.p) * double(s.q));
}

template <class T>
void patches_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  const Met down = met_rows(s), across = met_columns(s);
  const ptrdiff_t pixels = down.count * across.count, size = s.r * s.s * s.c;
  const bool all = pixels == s.p * s.q;
  each_part(s, double(pixels * size) * sizeof(T), [&](const ConvShape& part, ptrdiff_t n) {
    const ptrdiff_t rows = part.n * pixels;
    T* const to = y + n * s.p * s.q * s.k;
    Workspace<T> patches(size_t(rows * size)), some(all ? 0 : size_t(rows * s.k));
    copy_patches(part, down, across, x + n * s.h * s.w * s.c, patches.data());
    GemmProblem<T> p{1,
                     rows,
                     s.k,
                     size,
                     {patches.data(), size, 1, 0},
                     {w, 1, size, 0},
                     {all ? to : some.data(), s.k, 1, 0}};
    p.epilogue = of_group(e, 0);
    gemm(p);
    if (!all) spread<T>(part, down, across, some.data(), e, to);
  });
}
template void patches_fwd(const ConvShape&, const float*, const float*, const Epilogue<float>&,
                          float*);
template void patches_fwd(const ConvShape&, const double*, const double*, const Epilogue<double>&,
                          double*);

}  // namespace striate
