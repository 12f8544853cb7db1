// SPDX-License-Identifier: Apache-2.0
// A volume is a stack of planes, and a 3-D filter a stack of 2-D ones. For one output plane the
// depth taps that lie inside the volume are known, each a plane at a fixed distance; so its taps
// are those of 2-D times these, and the row pointers of implicit.h reach them all. Every output is
// summed in registers over all T R S taps and written once.
//
// The alternative, T convolutions of 2-D added up in memory, reads and writes the output T times
// and saves no code. No workspace is needed here but the packed filters.
//
// Output planes that see the same depth taps (all but those at the ends) are the images of one
// call; where a batch has more images than such a run has planes, the images of the batch are.
//
// The weight gradient is one 2-D gradient for each depth tap and image, whose "images" are the
// planes; the images of the batch are added up in dw.
//
// A filter of one plane without padding or stride along D is a 2-D convolution of N D images, with
// all its methods. Bound: as in 2-D, the multiply-adds; few channels keep the tile waiting for
// pointers (there is no `rows` method here).
#include "ops/conv3d/conv3d.h"

#include <algorithm>

#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/implicit.h"
#include "ops/conv2d/weight.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

// Filter plane t meets input plane `plane`.
struct PlaneTap {
  ptrdiff_t t, plane;
};
using PlaneTaps = std::vector<PlaneTap>;

// Output planes begin, begin + step, … (`count` of them), of which the first has these taps; those
// of the i-th are i * in_step planes further.
struct PlaneRun {
  ptrdiff_t begin, step, count, in_step;
  PlaneTaps taps;
};

bool continues(const PlaneRun& run, const PlaneTaps& next) {
  if (run.taps.size() != next.size()) return false;
  for (size_t i = 0; i < next.size(); ++i)
    if (next[i].t != run.taps[i].t || next[i].plane != run.taps[i].plane + run.count * run.in_step)
      return false;
  return true;
}

// All output planes as runs: `planes` of them in `step` classes, `taps_of(plane)` gives their taps.
template <class F>
std::vector<PlaneRun> runs_of(ptrdiff_t planes, ptrdiff_t step, ptrdiff_t in_step, F&& taps_of) {
  std::vector<PlaneRun> runs;
  for (ptrdiff_t first = 0; first < std::min(step, planes); ++first) {
    bool fresh = true;
    for (ptrdiff_t plane = first; plane < planes; plane += step) {
      PlaneTaps taps = taps_of(plane);
      if (!fresh && continues(runs.back(), taps)) {
        ++runs.back().count;
      } else {
        runs.push_back({plane, step, 1, in_step, std::move(taps)});
        fresh = false;
      }
    }
  }
  return runs;
}

// Sizes of both sides of a pass, in elements.
struct Volumes {
  ptrdiff_t n, in_planes, in_plane, out_planes, out_plane;
};

// Calls body(grid, taps) with the images of a run set in the grid (n, both sides' data and image
// strides), taps[i] being the offset of its i-th plane tap.
template <class T, class F>
void for_images(const PlaneRun& run, const Volumes& v, PixelGrid<T> grid, F&& body) {
  const T* in = grid.in.data;
  T* out = grid.out.data;
  std::vector<ptrdiff_t> offsets(run.taps.size());
  auto call = [&](ptrdiff_t shift) {
    for (size_t i = 0; i < offsets.size(); ++i)
      offsets[i] = (run.taps[i].plane + shift) * v.in_plane;
    body(grid, offsets);
  };
  if (run.count >= v.n) {
    grid.n = run.count;
    // A single plane, or one without taps, may have an astronomic stride: it is not used.
    const bool strided = run.count > 1 && !run.taps.empty();
    grid.in.image = strided ? run.in_step * v.in_plane : 0;
    grid.out.image = run.step * v.out_plane;
    for (ptrdiff_t n = 0; n < v.n; ++n) {
      grid.in.data = in + n * v.in_planes * v.in_plane;
      grid.out.data = out + (n * v.out_planes + run.begin) * v.out_plane;
      call(0);
    }
  } else {
    grid.n = v.n;
    grid.in.image = v.in_planes * v.in_plane, grid.out.image = v.out_planes * v.out_plane;
    for (ptrdiff_t i = 0; i < run.count; ++i) {
      grid.out.data = out + (run.begin + i * run.step) * v.out_plane;
      call(i * run.in_step);
    }
  }
}

template <class T>
Epilogue<T> of_group(Epilogue<T> e, ptrdiff_t first) {
  if (e.bias) e.bias += first, e.bias_axis = BiasAxis::column;
  return e;
}

// Whether the planes do not mix: then a volume is a batch of images.
bool is_flat(const Conv3dShape& s) {
  return s.t == 1 && s.stride_d == 1 && s.front == 0 && s.o == s.d;
}

ConvShape flat(const Conv3dShape& s) {
  ConvShape f = s.plane;
  f.n *= s.d;
  return f;
}

template <class T>
Image<T> image(T* data, ptrdiff_t h, ptrdiff_t w, ptrdiff_t c) {
  return {data, h * w * c, w * c, c};
}

}  // namespace

template <class T>
void conv3d_fwd(const Conv3dShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  if (is_flat(s)) return conv2d_fwd(flat(s), x, w, e, y);
  FlushDenormals flush;
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, depth = s.t * filter * c;
  const Volumes volumes{a.n, s.d, a.h * a.w * a.c, s.o, a.p * a.q * a.k};
  const std::vector<PlaneRun> runs = runs_of(s.o, 1, s.stride_d, [&](ptrdiff_t o) {
    PlaneTaps taps;
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      ptrdiff_t d = o * s.stride_d + t * s.dilation_d - s.front;
      if (d >= 0 && d < s.d) taps.push_back({t, d});
    }
    return taps;
  });
  Workspace<T> b(packed_b_size<T>(depth, k));
  for (ptrdiff_t g = 0; g < a.groups; ++g) {
    pack_b<T>({w + g * k * depth, 1, depth, 0}, depth, k, b.data());
    PixelGrid<T> grid{0,
                      a.p,
                      a.q,
                      image(y + g * k, a.p, a.q, a.k),
                      image(x + g * c, a.h, a.w, a.c),
                      a.h,
                      a.w,
                      a.stride_h,
                      a.stride_w,
                      c,
                      k,
                      {},
                      b.data(),
                      depth,
                      of_group(e, g * k)};
    for (const PlaneRun& run : runs)
      for_images(run, volumes, grid, [&](PixelGrid<T>& part, const std::vector<ptrdiff_t>& plane) {
        part.taps.clear();
        for (size_t i = 0; i < plane.size(); ++i)
          for (ptrdiff_t j = 0; j < filter; ++j)
            part.taps.push_back({j / a.s * a.dilation_h - a.top, j % a.s * a.dilation_w - a.left,
                                 (run.taps[i].t * filter + j) * c, plane[i]});
        implicit_gemm(part);
      });
  }
}

template <class T>
void conv3d_bwd_data(const Conv3dShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  if (is_flat(s)) return conv2d_bwd_data(flat(s), dy, w, e, dx);
  FlushDenormals flush;
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, taps = s.t * filter;
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  const Volumes volumes{a.n, s.o, a.p * a.q * a.k, s.d, a.h * a.w * a.c};
  const std::vector<PlaneRun> runs = runs_of(s.d, s.stride_d, 1, [&](ptrdiff_t d) {
    PlaneTaps met;
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      ptrdiff_t at = d + s.front - t * s.dilation_d;
      if (at >= 0 && at % s.stride_d == 0 && at / s.stride_d < s.o)
        met.push_back({t, at / s.stride_d});
    }
    return met;
  });
  Workspace<T> b(packed_b_size<T>(taps * k, c));  // panels [C / NR][tap][K][NR]
  for (ptrdiff_t g = 0; g < a.groups; ++g) {
    for (ptrdiff_t j = 0; j < taps; ++j)
      pack_b<T>({w + (g * k * taps + j) * c, taps * c, 1, 0}, k, c, b.data() + j * k * nr,
                taps * k);
    for (ptrdiff_t h = 0; h < std::min(a.stride_h, a.h); ++h) {
      for (ptrdiff_t v = 0; v < std::min(a.stride_w, a.w); ++v) {
        const auto rows = meetings(h, a.top, a.r, a.dilation_h, a.stride_h);
        const auto cols = meetings(v, a.left, a.s, a.dilation_w, a.stride_w);
        Image<T> out{dx + (h * a.w + v) * a.c + g * c, 0, a.stride_h * a.w * a.c, a.stride_w * a.c};
        PixelGrid<T> grid{0,
                          (a.h - h + a.stride_h - 1) / a.stride_h,
                          (a.w - v + a.stride_w - 1) / a.stride_w,
                          out,
                          image(dy + g * k, a.p, a.q, a.k),
                          a.p,
                          a.q,
                          1,
                          1,
                          k,
                          c,
                          {},
                          b.data(),
                          taps * k,
                          of_group(e, g * c)};
        for (const PlaneRun& run : runs)
          for_images(
              run, volumes, grid, [&](PixelGrid<T>& part, const std::vector<ptrdiff_t>& plane) {
                part.taps.clear();
                for (size_t i = 0; i < plane.size(); ++i)
                  for (const Meeting& r : rows)
                    for (const Meeting& z : cols)
                      part.taps.push_back({r.offset, z.offset,
                                           (run.taps[i].t * filter + r.filter * a.s + z.filter) * k,
                                           plane[i]});
                implicit_gemm(part);
              });
      }
    }
  }
}

template <class T>
void conv3d_bwd_weight(const Conv3dShape& s, const T* x, const T* dy, T* dw) {
  if (is_flat(s)) return conv2d_bwd_weight(flat(s), x, dy, dw);
  FlushDenormals flush;
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, row = s.t * filter * c;
  const ptrdiff_t in_plane = a.h * a.w * a.c, out_plane = a.p * a.q * a.k;
  for (ptrdiff_t g = 0; g < a.groups; ++g) {
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      const ptrdiff_t shift = t * s.dilation_d - s.front;  // o stride_d + shift is the input plane
      const ptrdiff_t low = shift >= 0 ? 0 : (-shift + s.stride_d - 1) / s.stride_d;
      const ptrdiff_t high = shift >= s.d ? 0 : std::min(s.o, (s.d - 1 - shift) / s.stride_d + 1);
      const ptrdiff_t planes = a.n > 0 ? std::max<ptrdiff_t>(high - low, 0) : 0;
      std::vector<Tap> taps;
      for (ptrdiff_t j = 0; j < filter; ++j)
        taps.push_back({j / a.s * a.dilation_h - a.top, j % a.s * a.dilation_w - a.left, j * c});
      ptrdiff_t n = 0;
      do {  // once even with no planes: dw is still to be written
        const ptrdiff_t from = planes > 0 ? n * s.d + low * s.stride_d + shift : 0;
        const ptrdiff_t between = planes > 1 ? s.stride_d * in_plane : in_plane;
        Image<const T> images{x + from * in_plane + g * c, between, a.w * a.c, a.c};
        WeightGrid<T> grid{planes,     a.p,
                           a.q,        dy + (planes > 0 ? (n * s.o + low) * out_plane : 0) + g * k,
                           a.k,        images,
                           a.h,        a.w,
                           a.stride_h, a.stride_w,
                           taps,       c,
                           k,          dw + g * k * row + t * filter * c,
                           row,        n > 0};
        implicit_weight(grid);
      } while (++n < a.n && planes > 0);
    }
  }
}

#define INSTANCES(T)                                                                             \
  template void conv3d_fwd(const Conv3dShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void conv3d_bwd_data(const Conv3dShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void conv3d_bwd_weight(const Conv3dShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
