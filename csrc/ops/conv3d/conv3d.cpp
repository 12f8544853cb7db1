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
// all its methods. Few channels keep a tile waiting for pointers; then, as in 2-D, the planes are
// copied once into padded ones, where the S C values under a filter row are neighbours, so that a
// tap is a whole row. Bound: as in 2-D, the multiply-adds.
#include "ops/conv3d/conv3d.h"

#include <algorithm>

#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/weight.h"
#include "ops/conv3d/planes.h"
#include "ops/gemm/tile.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

// Whether the planes do not mix: then a volume is a batch of images.
bool is_flat(const Conv3dShape& s) {
  return s.t == 1 && s.stride_d == 1 && s.front == 0 && s.o == s.d;
}

ConvShape flat(const Conv3dShape& s) {
  ConvShape f = s.plane;
  f.n *= s.d;
  return f;
}

// Whether rows of padded planes serve: few channels, and a copy of a size like the volume's.
bool by_rows(const Conv3dShape& s) {
  const ConvShape& a = s.plane;
  if (a.groups != 1 || a.dilation_w != 1 || a.s == 1 || a.c >= 32) return false;
  const double height =
      double(a.p - 1) * double(a.stride_h) + double(a.r - 1) * double(a.dilation_h);
  const double width = double(a.q - 1) * double(a.stride_w) + double(a.s);
  const double planes = double(a.n) * double(s.d) * double(a.c);
  return planes * (height + 1) * width <= 4 * planes * double(a.h) * double(a.w) + 1e6;
}

// All planes with zeros around, as far as the filters reach: [N, D, height, width, C].
template <class T>
struct PaddedPlanes {
  ptrdiff_t height, width;
  Workspace<T> data;

  PaddedPlanes(const Conv3dShape& s, const T* x)
      : height((s.plane.p - 1) * s.plane.stride_h + (s.plane.r - 1) * s.plane.dilation_h + 1),
        width((s.plane.q - 1) * s.plane.stride_w + s.plane.s),
        data(size_t(s.plane.n * s.d * height * width * s.plane.c)) {
    const ConvShape& a = s.plane;
    Operand from{const_cast<T*>(x), dtype_of<T>, 4, {a.n * s.d, a.h, a.w, a.c}, {}}, to = from;
    to.data = data.data(), to.shape[1] = height, to.shape[2] = width;
    c_order(from.shape, 4, from.stride), c_order(to.shape, 4, to.stride);
    const ptrdiff_t before[4] = {0, a.top, a.left, 0};
    const ptrdiff_t after[4] = {0, height - a.h - a.top, width - a.w - a.left, 0};
    if (data.size() > 0) pad(from, before, after, 0, to);
  }
  ptrdiff_t plane(const Conv3dShape& s) const { return height * width * s.plane.c; }
};

template <class T>
void fwd_rows(const Conv3dShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  const ConvShape& a = s.plane;
  PaddedPlanes<T> padded(s, x);
  const ptrdiff_t row = a.s * a.c, depth = s.t * a.r * row;
  const Volumes volumes{a.n, s.d, padded.plane(s), s.o, a.p * a.q * a.k};
  Workspace<T> b(packed_b_size<T>(depth, a.k));
  pack_b<T>({w, 1, depth, 0}, depth, a.k, b.data());
  const T* from = padded.data.data();
  PixelGrid<T> grid{0,
                    a.p,
                    a.q,
                    image(y, a.p, a.q, a.k),
                    image(from, padded.height, padded.width, a.c),
                    padded.height,
                    padded.width,
                    a.stride_h,
                    a.stride_w,
                    row,
                    a.k,
                    {},
                    b.data(),
                    depth,
                    of_group(e, 0)};
  for (const PlaneRun& run : runs_of_fwd(s))
    for_images(run, volumes, grid, [&](PixelGrid<T>& part, const std::vector<ptrdiff_t>& plane) {
      part.taps.clear();
      for (size_t i = 0; i < plane.size(); ++i)
        for (ptrdiff_t r = 0; r < a.r; ++r)
          part.taps.push_back({r * a.dilation_h, 0, (run.taps[i].t * a.r + r) * row, plane[i]});
      implicit_gemm(part);
    });
}

template <class T>
void bwd_weight_rows(const Conv3dShape& s, const T* x, const T* dy, T* dw) {
  const ConvShape& a = s.plane;
  PaddedPlanes<T> padded(s, x);
  const ptrdiff_t plane = padded.plane(s), row = a.s * a.c, filter = a.r * row;
  std::vector<Tap> taps;
  for (ptrdiff_t r = 0; r < a.r; ++r) taps.push_back({r * a.dilation_h, 0, r * row});
  std::fill_n(dw, a.k * s.t * filter, T(0));
  for (ptrdiff_t t = 0; t < s.t; ++t) {
    const PlaneRange planes(s, t);
    for (ptrdiff_t n = 0; n < a.n && planes.count() > 0; ++n) {
      const T* from =
          padded.data.data() + (n * s.d + planes.low * s.stride_d + planes.shift) * plane;
      const Image<const T> images{from, planes.count() > 1 ? s.stride_d * plane : plane,
                                  padded.width * a.c, a.c};
      narrow_weight<T>({planes.count(), a.p, a.q, dy + (n * s.o + planes.low) * a.p * a.q * a.k,
                        a.k, images, padded.height, padded.width, a.stride_h, a.stride_w, taps, row,
                        a.k, dw + t * filter, s.t * filter, true});
    }
  }
}

}  // namespace

template <class T>
void conv3d_fwd(const Conv3dShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  if (s.plane.n == 0) return;
  if (is_flat(s)) return conv2d_fwd(flat(s), x, w, e, y);
  FlushDenormals flush;
  if (by_rows(s)) return fwd_rows(s, x, w, e, y);
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, depth = s.t * filter * c;
  const Volumes volumes{a.n, s.d, a.h * a.w * a.c, s.o, a.p * a.q * a.k};
  const std::vector<PlaneRun> runs = runs_of_fwd(s);
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
  if (s.plane.n * s.plane.c == 0) return;
  if (is_flat(s)) return conv2d_bwd_data(flat(s), dy, w, e, dx);
  FlushDenormals flush;
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, taps = s.t * filter;
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  const Volumes volumes{a.n, s.o, a.p * a.q * a.k, s.d, a.h * a.w * a.c};
  const std::vector<PlaneRun> runs = runs_of_bwd_data(s);
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
  if (s.plane.c == 0) return;
  if (is_flat(s)) return conv2d_bwd_weight(flat(s), x, dy, dw);
  FlushDenormals flush;
  if (by_rows(s)) return bwd_weight_rows(s, x, dy, dw);
  const ConvShape& a = s.plane;
  const ptrdiff_t c = a.group_c(), k = a.group_k(), filter = a.r * a.s, row = s.t * filter * c;
  const ptrdiff_t in_plane = a.h * a.w * a.c, out_plane = a.p * a.q * a.k;
  for (ptrdiff_t g = 0; g < a.groups; ++g) {
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      const PlaneRange range(s, t);
      const ptrdiff_t planes = a.n > 0 ? range.count() : 0;
      std::vector<Tap> taps;
      for (ptrdiff_t j = 0; j < filter; ++j)
        taps.push_back({j / a.s * a.dilation_h - a.top, j % a.s * a.dilation_w - a.left, j * c});
      ptrdiff_t n = 0;
      do {  // once even with no planes: dw is still to be written
        const ptrdiff_t from = planes > 0 ? n * s.d + range.low * s.stride_d + range.shift : 0;
        const ptrdiff_t between = planes > 1 ? s.stride_d * in_plane : in_plane;
        Image<const T> images{x + from * in_plane + g * c, between, a.w * a.c, a.c};
        WeightGrid<T> grid{
            planes,     a.p,
            a.q,        dy + (planes > 0 ? (n * s.o + range.low) * out_plane : 0) + g * k,
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
