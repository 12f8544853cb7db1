// SPDX-License-Identifier: Apache-2.0
// Convolutions as matrix products: sources of tiles (gemm_tile.cuh) that compute addresses from
// pixel and tap, and the three passes (conv2d_cuda.h) by whichever loop is given.
//
//   patches, a row a pixel (n, i, j), a column (r, s, c)
//     y = first + step i + tap r,  x likewise         the pixel that tap (r, s) of (i, j) meets
//     channel c of pixel (n, y, x), or 0 outside the image (cp.async fills what it does not read)
//
//                 k: tap 0        tap 1        …      16 bytes never cross a tap where a tap's
//     pixel 0   [c … c + 7]    [c … c + 7]            channels are a multiple of them; else, as
//     pixel 1   [c … c + 7]    ( outside: 0 )         with the 1 to 4 channels of first layers,
//     …                                               elements are copied one by one
//
// An address takes four quotients (Divisor), some 40 instructions for each 16 bytes.
#pragma once
#include "cuda/device/memory.cuh"
#include "ops/conv2d/conv2d_cuda.h"
#include "ops/gemm/gemm_tile.cuh"

namespace striate {

// Along one axis, of the pixels and taps of a pass and a phase of it.
struct PatchAxis {
  int size;              // of the image that is read
  int first, step, tap;  // output i meets under tap r: first + step i + tap r
  Divisor pixels, taps;  // how many there are
};

// What phase `a` of an axis has, of bwd_data: inputs a + stride i, taps first_tap + tap_step r. All
// phases count as many inputs as the first; of some the last one is outside the image.
struct Phase {
  int taps, first_tap;
  PatchAxis axis;

  Phase(const ConvAxis& s, int a) : first_tap(0) {
    // The first tap from which input a is reached by a whole output.
    while (first_tap < s.tap_step && (a + s.before - first_tap * s.dilation) % s.stride)
      ++first_tap;
    const bool none = first_tap == s.tap_step || first_tap >= s.taps;
    taps = none ? 0 : ceil_div(s.taps - first_tap, s.tap_step);
    axis = {s.out,    (a + s.before - first_tap * s.dilation) / s.stride,
            1,        -s.output_step,
            s.pixels, s.steps[taps < s.steps[0].value]};
  }
};

inline PatchAxis forward_axis(const ConvAxis& s) {
  return {s.in, -s.before, s.stride, s.dilation, s.pixels, s.steps[0]};
}

template <class T>
struct Patches {
  using Element = T;
  const T* first;
  int64 pixel;
  PatchAxis h, w;
  Divisor channels;
  int rows, cols;
  bool wide;
  static constexpr int unroll = 1;  // addresses at a time, of several: they take registers

  template <class R>
  Patches(const void* image, const ConvOf<R>& s, PatchAxis h, PatchAxis w, int rows, int cols)
      : first(static_cast<const T*>(image)),
        pixel(s.pixel),
        h(h),
        w(w),
        channels(s.channels),
        rows(rows),
        cols(cols),
        wide(wide_rows(first, pixel) && channels.value % Pack<T>::size == 0) {}

  Span<T> at(int row, int col) const {
    const int tap = channels.quotient(col), c = col - tap * channels.value;
    const int r = w.taps.quotient(tap), s = tap - r * w.taps.value;
    const int line = w.pixels.quotient(row), j = row - line * w.pixels.value;
    const int n = h.pixels.quotient(line), i = line - n * h.pixels.value;
    const int y = h.first + h.step * i + h.tap * r, x = w.first + w.step * j + w.tap * s;
    const bool inside =
        row < rows && col < cols && uint32(y) < uint32(h.size) && uint32(x) < uint32(w.size);
    return {first + ((int64(n) * h.size + y) * w.size + x) * pixel + c,
            inside ? channels.value - c : 0};
  }
};

// w [K, R, S, C / groups] by (tap, filter) and channel; the taps of a phase.
template <class T>
struct Filters {
  using Element = T;
  const T* first;
  int first_r, first_s, step_r, step_s;
  int all_taps, row_taps;  // R S and S
  Divisor taps_w, filters;
  int rows, cols;
  bool wide;
  static constexpr int unroll = 1;

  template <class R>
  Filters(const void* w, const ConvOf<R>& s, const Phase& h, const Phase& v, int rows, int cols)
      : first(static_cast<const T*>(w)),
        first_r(h.first_tap),
        first_s(v.first_tap),
        step_r(s.h.tap_step),
        step_s(s.w.tap_step),
        all_taps(s.h.taps * s.w.taps),
        row_taps(s.w.taps),
        taps_w(v.axis.taps),
        filters(s.channels),
        rows(rows),
        cols(cols),
        wide(wide_rows(first, cols)) {}

  Span<T> at(int row, int col) const {
    const int tap = filters.quotient(row), filter = row - tap * filters.value;
    const int i = taps_w.quotient(tap), j = tap - i * taps_w.value;
    const int r = first_r + i * step_r, s = first_s + j * step_s;
    const int64 line = int64(filter) * all_taps + r * row_taps + s;
    return {first + line * cols + col, row < rows ? cols - col : 0};
  }
};

// Where a pixel of a phase lies in dx, or in a part of it. The block's part and phase wait for the
// end in shared memory: with them in registers 3xTF32 spilled 120 bytes on sm_90a.
struct PhaseRows {
  Shared<int> block;  // part, first y, first x
  int64 group, part, pixel;
  int height, width, step_y, step_x;
  Divisor pixels_h, pixels_w;

  // kNoRow outside the image
  int64 operator()(int row) const {
    const int line = pixels_w.quotient(row), j = row - line * pixels_w.value;
    const int n = pixels_h.quotient(line), i = line - n * pixels_h.value;
    const int y = block[1] + i * step_y, x = block[2] + j * step_x;
    if (y >= height || x >= width) return kNoRow;
    return group + block[0] * part + ((int64(n) * height + y) * width + x) * pixel;
  }
};

// The product of this block's group. Its bias is the group's too.
template <class R>
inline GemmOf<R> product_of_group(const ConvOf<R>& s) {
  GemmOf<R> g = s.product;
  if (g.bias_axis == 2) g.bias += int(blockIdx.y) * g.n;
  return g;
}
template <class T>
inline const T* of_group(const void* all, int64 step) {
  return static_cast<const T*>(all) + blockIdx.y * step;
}

// By a Loop, as gemm() of gemm_tile.cuh.
template <class Loop, class R>
inline void conv2d_fwd(const ConvOf<R>& s) {
  using T = typename Loop::Element;
  const GemmOf<R> g = product_of_group(s);
  const PatchAxis h = forward_axis(s.h), w = forward_axis(s.w);
  const PartOfK k(g);
  const Operand<Patches<T>, true> patches{{of_group<T>(g.a, g.a_batch), s, h, w, g.m, k.end}};
  const Operand<Matrix<T>, true> filters{{of_group<T>(g.b, g.b_batch), g.b_ld, g.n, k.end}};
  Loop::run(g, patches, filters, k, dense_rows(g));
}

template <class Loop, class R>
inline void conv2d_bwd_data(const ConvOf<R>& s) {
  using T = typename Loop::Element;
  const int phases = s.h.stride * s.w.stride;
  const int part = int(blockIdx.z) / phases, phase = int(blockIdx.z) - part * phases;
  const int a = phase / s.w.stride, b = phase - a * s.w.stride;
  STRIATE_SHARED(int, block, 3);
  if (threadIdx.x == 0) block[0] = part, block[1] = a, block[2] = b;
  __syncthreads();
  const Phase h(s.h, a), w(s.w, b);
  GemmOf<R> g = product_of_group(s);
  g.k = h.taps * w.taps * s.channels.value;  // of which a part may have none
  const PartOfK k(g, part);
  const Operand<Patches<T>, true> patches{
      {of_group<T>(g.a, g.a_batch), s, h.axis, w.axis, g.m, k.end}};
  const Operand<Filters<T>, false> filters{{of_group<T>(g.b, g.b_batch), s, h, w, k.end, g.n}};
  const PhaseRows rows{block,      int64(blockIdx.y) * g.c_batch,
                       g.c_part,   g.c_ld,
                       s.h.in,     s.w.in,
                       s.h.stride, s.w.stride,
                       s.h.pixels, s.w.pixels};
  Loop::run(g, patches, filters, k, rows);
}

template <class Loop, class R>
inline void conv2d_bwd_weight(const ConvOf<R>& s) {
  using T = typename Loop::Element;
  const GemmOf<R> g = product_of_group(s);
  const PatchAxis h = forward_axis(s.h), w = forward_axis(s.w);
  const PartOfK k(g);
  const Operand<Matrix<T>, false> gradient{{of_group<T>(g.a, g.a_batch), g.a_ld, k.end, g.m}};
  const Operand<Patches<T>, false> patches{{of_group<T>(g.b, g.b_batch), s, h, w, k.end, g.n}};
  Loop::run(g, gradient, patches, k, dense_rows(g));
}

}  // namespace striate

// The three passes: conv2d_<pass>_<name>.
#define STRIATE_CONV2D(pass, name, Loop, blocks)                                               \
  extern "C" __global__ void __launch_bounds__(256, blocks)                                    \
      conv2d_##pass##_##name(striate::ConvOf<striate::SumType<striate::Loop::Element>> args) { \
    striate::conv2d_##pass<striate::Loop>(args);                                               \
  }
#define STRIATE_CONV2DS(name, Loop, blocks)    \
  STRIATE_CONV2D(fwd, name, Loop, blocks)      \
  STRIATE_CONV2D(bwd_data, name, Loop, blocks) \
  STRIATE_CONV2D(bwd_weight, name, Loop, blocks)
