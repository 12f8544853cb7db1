// SPDX-License-Identifier: Apache-2.0
// How each method (choice.h) sees the problem.
#include "ops/conv2d/conv2d.h"

#include <algorithm>
#include <cstring>

#include "core/blocks.h"
#include "core/check.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/depthwise.h"
#include "ops/conv2d/implicit.h"
#include "ops/conv2d/patches.h"
#include "ops/conv2d/pointwise.h"
#include "ops/conv2d/rows.h"
#include "ops/conv2d/scatter.h"
#include "ops/conv2d/weight.h"
#include "ops/conv2d/winograd.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

// Images copied into wider ones of zeros: pixel (h, w) to (h + top, w + left) of height x width.
template <class T>
struct Padded {
  ptrdiff_t height, width;
  Workspace<T> data;

  Padded(const T* x, ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c, ptrdiff_t top,
         ptrdiff_t left, ptrdiff_t height, ptrdiff_t width)
      : height(height), width(width), data(size_t(n) * size_t(height) * size_t(width) * size_t(c)) {
    const ptrdiff_t before = std::min(left, width), kept = std::min(w, width - before);
    const ptrdiff_t after = width - before - kept;
    auto row = [&](ptrdiff_t index) {
      T* to = data.data() + index * width * c;
      ptrdiff_t from = index % height - top;
      if (from < 0 || from >= h) return void(std::fill_n(to, width * c, T(0)));
      std::fill_n(to, before * c, T(0));
      std::copy_n(x + (index / height * h + from) * w * c, kept * c, to + before * c);
      std::fill_n(to + (before + kept) * c, after * c, T(0));
    };
    parallel_ranges(n * height, (1 << 15) / (width * c + 1) + 1, 1,
                    [&](ptrdiff_t begin, ptrdiff_t end) {
                      for (ptrdiff_t index = begin; index < end; ++index) row(index);
                    });
  }
};

// The input as the `rows` method wants it: as far as the filters reach.
ptrdiff_t reach_h(const ConvShape& s) {
  return (s.p - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1;
}
ptrdiff_t reach_w(const ConvShape& s) { return (s.q - 1) * s.stride_w + s.s; }

template <class T>
Padded<T> padded_input(const ConvShape& s, const T* x) {
  return {x, s.n, s.h, s.w, s.c, s.top, s.left, reach_h(s), reach_w(s)};
}
template <class T>
double padded_bytes(const ConvShape& s) {
  return double(reach_h(s)) * double(reach_w(s) * s.c) * sizeof(T);
}

std::vector<Tap> taps_of(const ConvShape& s, ptrdiff_t rows_a_tap) {
  std::vector<Tap> taps;
  for (ptrdiff_t r = 0; r < s.r; ++r)
    for (ptrdiff_t t = 0; t < s.s; ++t)
      taps.push_back(
          {r * s.dilation_h - s.top, t * s.dilation_w - s.left, (r * s.s + t) * rows_a_tap});
  return taps;
}

std::vector<Tap> row_taps_of(const ConvShape& s) {
  std::vector<Tap> taps;
  for (ptrdiff_t r = 0; r < s.r; ++r) taps.push_back({r * s.dilation_h, 0, r * s.s * s.c});
  return taps;
}

// How many of `width` filters of `depth` values are packed at a time.
template <class T>
ptrdiff_t filters_at_once(ptrdiff_t depth, ptrdiff_t width) {
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  const size_t panel = size_t(std::max<ptrdiff_t>(depth, 1) * nr) * sizeof(T);
  const ptrdiff_t most = std::max<ptrdiff_t>(ptrdiff_t(conv_workspace() / panel), 1);
  return most < ceil_div(width, nr) ? most * nr : width;
}

template <class T>
void fwd_implicit(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  const ptrdiff_t c = s.group_c(), k = s.group_k(), depth = s.r * s.s * c;
  const ptrdiff_t most = filters_at_once<T>(depth, k);
  Workspace<T> b(packed_b_size<T>(depth, most));
  for (ptrdiff_t g = 0; g < s.groups; ++g)
    for (ptrdiff_t j = 0; j < k; j += most) {
      const ptrdiff_t first = g * k + j, width = std::min(most, k - j);
      pack_b<T>({w + first * depth, 1, depth, 0}, depth, width, b.data());
      PixelGrid<T> grid{s.n,
                        s.p,
                        s.q,
                        image(y, s.p, s.q, s.k),
                        image(x, s.h, s.w, s.c),
                        s.h,
                        s.w,
                        s.stride_h,
                        s.stride_w,
                        c,
                        width,
                        taps_of(s, c),
                        b.data(),
                        depth,
                        of_group(e, first)};
      grid.in.data += g * c;
      grid.out.data += first;
      implicit_gemm(grid);
    }
}

// Zeros to `width` values of every pixel of images of rows by cols.
template <class T>
void clear(const Image<T>& out, ptrdiff_t n, ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t width) {
  const bool dense = out.pixel == width;
  parallel_for(n * rows, [&](ptrdiff_t part) {
    T* row = out.data + part / rows * out.image + part % rows * out.row;
    if (dense) return void(std::memset(row, 0, size_t(cols * width) * sizeof(T)));
    for (ptrdiff_t q = 0; q < cols; ++q)
      std::memset(row + q * out.pixel, 0, size_t(width) * sizeof(T));
  });
}

template <class T>
bool keeps_zeros(const Epilogue<T>& e) {
  return !e.bias && !e.activation && e.low <= 0 && e.high >= 0;
}

// The filters' channels [first, first + width) of group g, packed in b.
template <class T>
void bwd_data_classes(const ConvShape& s, const T* dy, const T* b, ptrdiff_t g, ptrdiff_t first,
                      ptrdiff_t width, const Epilogue<T>& e, T* dx) {
  const ptrdiff_t k = s.group_k();
  for (ptrdiff_t h = 0; h < std::min(s.stride_h, s.h); ++h) {
    const ptrdiff_t rows = ceil_div(s.h - h, s.stride_h);
    if (keeps_zeros(e) && meetings(h, s.top, s.r, s.dilation_h, s.stride_h).empty()) {
      clear<T>({dx + h * s.w * s.c + first, s.h * s.w * s.c, s.stride_h * s.w * s.c, s.c}, s.n,
               rows, s.w, width);
      continue;
    }
    for (ptrdiff_t v = 0; v < std::min(s.stride_w, s.w); ++v) {
      std::vector<Tap> met;
      for (const Meeting& a : meetings(h, s.top, s.r, s.dilation_h, s.stride_h))
        for (const Meeting& z : meetings(v, s.left, s.s, s.dilation_w, s.stride_w))
          met.push_back({a.offset, z.offset, (a.filter * s.s + z.filter) * k});
      Image<T> out{dx + (h * s.w + v) * s.c + first, s.h * s.w * s.c, s.stride_h * s.w * s.c,
                   s.stride_w * s.c};
      const ptrdiff_t cols = ceil_div(s.w - v, s.stride_w);
      if (met.empty() && keeps_zeros(e)) {
        clear(out, s.n, rows, cols, width);
        continue;
      }
      PixelGrid<T> grid{
          s.n,   rows,           cols, out,           image(dy, s.p, s.q, s.k), s.p, s.q, 1, 1, k,
          width, std::move(met), b,    s.r * s.s * k, of_group(e, first)};
      grid.in.data += g * k;
      implicit_gemm(grid);
    }
  }
}

template <class T>
void bwd_data_implicit(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  const ptrdiff_t c = s.group_c(), k = s.group_k(), taps = s.r * s.s, depth = taps * k;
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr, most = filters_at_once<T>(depth, c);
  Workspace<T> b(packed_b_size<T>(depth, most));  // panels [C / NR][tap][K][NR]
  for (ptrdiff_t g = 0; g < s.groups; ++g)
    for (ptrdiff_t j = 0; j < c; j += most) {
      const ptrdiff_t width = std::min(most, c - j);
      for (ptrdiff_t t = 0; t < taps; ++t)
        pack_b<T>({w + (g * k * taps + t) * c + j, taps * c, 1, 0}, k, width, b.data() + t * k * nr,
                  depth);
      bwd_data_classes(s, dy, b.data(), g, g * c + j, width, e, dx);
    }
}

template <class T>
void bwd_weight_implicit(const ConvShape& s, const T* x, const T* dy, T* dw) {
  const ptrdiff_t c = s.group_c(), k = s.group_k(), row = s.r * s.s * c;
  for (ptrdiff_t g = 0; g < s.groups; ++g) {
    WeightGrid<T> grid{
        s.n,        s.p,        s.q,           dy + g * k, s.k, image(x, s.h, s.w, s.c), s.h, s.w,
        s.stride_h, s.stride_w, taps_of(s, c), c,          k,   dw + g * k * row,        row};
    grid.x.data += g * c;
    implicit_weight(grid);
  }
}

template <class T>
void bwd_weight_rows(const ConvShape& s, const T* x, const T* dy, T* dw) {
  each_part(s, padded_bytes<T>(s), [&](const ConvShape& part, ptrdiff_t n) {
    Padded<T> padded = padded_input(part, x + n * s.h * s.w * s.c);
    const T* from = padded.data.data();
    narrow_weight<T>({part.n, s.p, s.q, dy + n * s.p * s.q * s.k, s.k,
                      image(from, padded.height, padded.width, s.c), padded.height, padded.width,
                      s.stride_h, s.stride_w, row_taps_of(s), s.s * s.c, s.k, dw, s.r * s.s * s.c,
                      n > 0});
  });
}

template <class T>
void fwd_by(ConvMethod method, const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e,
            T* y) {
  switch (method) {
    case ConvMethod::gemm:
      return pointwise_fwd(s, x, w, e, y);
    case ConvMethod::patches:
      return patches_fwd(s, x, w, e, y);
    case ConvMethod::depthwise:
      return depthwise_fwd(s, x, w, e, y);
    case ConvMethod::winograd_f4x4:
      return winograd_fwd(s, 4, x, w, e, y);
    case ConvMethod::winograd_f2x2:
      return winograd_fwd(s, 2, x, w, e, y);
    case ConvMethod::rows:
      return rows_fwd(s, x, w, e, y);
    case ConvMethod::sampled:  // no rows of this pass
    case ConvMethod::scatter:
    case ConvMethod::implicit:
      return fwd_implicit(s, x, w, e, y);
  }
}

template <class T>
void bwd_data_by(ConvMethod method, const ConvShape& s, const T* dy, const T* w,
                 const Epilogue<T>& e, T* dx) {
  switch (method) {
    case ConvMethod::gemm:
      return pointwise_bwd_data(s, dy, w, e, dx);
    case ConvMethod::depthwise:
      return depthwise_bwd_data(s, dy, w, e, dx);
    case ConvMethod::winograd_f4x4:
      return winograd_bwd_data(s, 4, dy, w, e, dx);
    case ConvMethod::winograd_f2x2:
      return winograd_bwd_data(s, 2, dy, w, e, dx);
    case ConvMethod::scatter:
      return scatter_bwd_data(s, dy, w, e, dx);
    case ConvMethod::rows:
      return rows_bwd_data(s, dy, w, e, dx);
    case ConvMethod::sampled:  // no rows of this pass
    case ConvMethod::patches:
    case ConvMethod::implicit:
      return bwd_data_implicit(s, dy, w, e, dx);
  }
}

template <class T>
void bwd_weight_by(ConvMethod method, const ConvShape& s, const T* x, const T* dy, T* dw) {
  switch (method) {
    case ConvMethod::gemm:
      return pointwise_bwd_weight(s, x, dy, dw);
    case ConvMethod::sampled:
      return sampled_bwd_weight(s, x, dy, dw);
    case ConvMethod::depthwise:
      return depthwise_bwd_weight(s, x, dy, dw);
    case ConvMethod::winograd_f4x4:
      return winograd_bwd_weight(s, 4, x, dy, dw);
    case ConvMethod::winograd_f2x2:
      return winograd_bwd_weight(s, 2, x, dy, dw);
    case ConvMethod::rows:
      return bwd_weight_rows(s, x, dy, dw);
    case ConvMethod::patches:  // no rows of this pass
    case ConvMethod::scatter:
    case ConvMethod::implicit:
      return bwd_weight_implicit(s, x, dy, dw);
  }
}

template <class F>
void run(const ConvShape& s, ConvPass pass, Dtype dtype, const F& by) {
  FlushDenormals flush;
  conv_run(
      s, pass, dtype, [](const void* f, ConvMethod method) { (*static_cast<const F*>(f))(method); },
      &by);
}

}  // namespace

ptrdiff_t conv_output_size(const char* op, const char* axis, ptrdiff_t size, ptrdiff_t padding,
                           ptrdiff_t filter, ptrdiff_t stride, ptrdiff_t dilation) {
  ptrdiff_t reach, padded;
  if (__builtin_mul_overflow(dilation, filter - 1, &reach) ||
      __builtin_add_overflow(size, padding, &padded) || reach >= padded)
    fail(op, "input",
         std::string("a padded ") + axis + " of at least " + std::to_string(filter) +
             (dilation > 1 ? " (filter) spread by dilation " + std::to_string(dilation)
                           : " (filter)"),
         std::to_string(size) + " + " + std::to_string(padding) + " of padding");
  return (padded - reach - 1) / stride + 1;
}

template <class T>
void conv2d_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  if (s.n == 0) return;
  run(s, ConvPass::fwd, dtype_of<T>, [&](ConvMethod method) { fwd_by(method, s, x, w, e, y); });
}

template <class T>
void conv2d_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  if (s.n * s.c == 0) return;
  run(s, ConvPass::bwd_data, dtype_of<T>,
      [&](ConvMethod method) { bwd_data_by(method, s, dy, w, e, dx); });
}

template <class T>
void conv2d_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  if (s.c == 0) return;
  run(s, ConvPass::bwd_weight, dtype_of<T>,
      [&](ConvMethod method) { bwd_weight_by(method, s, x, dy, dw); });
}

#define INSTANCES(T)                                                                           \
  template void conv2d_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void conv2d_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void conv2d_bwd_weight(const ConvShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
