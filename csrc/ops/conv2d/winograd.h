// SPDX-License-Identifier: Apache-2.0
// Convolution by Winograd's minimal filtering (Winograd 1980; Lavin and Gray, "Fast algorithms for
// convolutional neural networks", 2016): m x m outputs at a time from a = m + r - 1 by a inputs d
// and a filter g of r x r,
//
//   y = A^T ((G g G^T) * (B^T d B)) A          * element by element
//
// so that a^2 multiplications make what takes r^2 m^2 directly: F(2x2, 3x3) 2.25 times fewer,
// F(4x4, 3x3) 4 times. Over many tiles and channels, the products for one of the a^2 elements,
// `xi`, are a matrix product:
//
//   M[xi] [tiles, K] = V[xi] [tiles, C] U[xi] [C, K]      U of the filters, V of the input, M of y
//
// The gradient of the filters is the same with their parts exchanged, r x r outputs from the same
// inputs and m x m of dy, summed over the tiles before it is transformed back:
//
//   M[xi] [K, C] = E[xi]^T [K, tiles] V[xi] [tiles, C]    E of dy, M of dw
//
// Points of interpolation: 0, 1, -1 and infinity for a = 4; also 1/2 and -2 for a = 6, which keep
// its matrices' entries small (errors are stated in docs/accuracy.rst).
//
// Fewer points do for a tile at the edge of an image of 14 x 14, which has 2 outputs down or across
// instead of 4, and for a filter of 1 or 2 taps. Those of F(2, 3), F(4, 2) and the like may be
// points of F(4, 3): the first of them, and infinity. U is the same for all where V is scaled to
// it, and M of several filters may be added up. So a filter of any size, at any stride, is cut into
// pieces of up to 3 x 3 taps, of which each meets pixels of its own (winograd_tiles.h): 3 x 3 at
// stride 2 takes 81 multiplications for 144, 5 x 5 121 for 400, at stride 2 as well, 9 x 9 324 for
// 1296.
#pragma once
#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "ops/conv2d/conv2d.h"
#include "ops/conv2d/implicit.h"
#include "ops/conv2d/winograd_tiles.h"

namespace striate {

// The stages of a pass. A kernel of one takes the struct below that names it.
enum class WinogradStage { input, filter, output, dy, dw };

// input: v[xi][c] = (B^T d B)[xi] for one tile of a x a pixels, zeros outside the image.
// dy: the same of m x m pixels, with G of m columns instead of r.
template <class T>
struct WinogradInput {
  const T* x;  // the tile's first pixel, maybe outside
  ptrdiff_t x_row, x_col;
  ptrdiff_t h0, h1, w0, w1;  // its rows and columns inside
  ptrdiff_t channels;
  T* v;
  ptrdiff_t v_xi;
  bool far;                              // no cache holds the images
  ptrdiff_t down, across;                // pixels of a tile
  ptrdiff_t points_down, points_across;  // of v
};
// filter: u[xi][i][j] = (G g G^T)[xi] for `rows` rows of n filters side by side, of down x across
// taps each.
template <class T>
struct WinogradFilter {
  const T* w;
  ptrdiff_t w_down, w_across;  // from a tap to the next
  ptrdiff_t w_row, rows, n;
  T* u;
  ptrdiff_t u_xi, u_row;
  ptrdiff_t down, across;
};
// output: y = clamp(A^T m A + bias, low, high) for one tile, of which `rows` by `cols` pixels are
// y's.
// dw: the same for r x r values, with A of r columns.
template <class T>
struct WinogradOutput {
  const T* m;
  ptrdiff_t m_xi, rows, cols, channels;
  const T* bias;  // or null
  T low, high;
  T* y;
  ptrdiff_t y_row, y_col;
  bool past;  // y is written past the caches: it, its steps and the channels are whole lines
  ptrdiff_t down, across;                // values that a whole tile of this size has
  ptrdiff_t points_down, points_across;  // of m that they are made from
};

#define WINOGRAD_input(T) WinogradInput<T>
#define WINOGRAD_filter(T) WinogradFilter<T>
#define WINOGRAD_output(T) WinogradOutput<T>
#define WINOGRAD_dy(T) WinogradInput<T>
#define WINOGRAD_dw(T) WinogradOutput<T>
#define ROW(name, T, isa, what, a, n) STRIATE_WITH_##isa(void name(const WINOGRAD_##what(T) &);)
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

// Of tiles of a x a, and n x n values on the other side; n = 0: of any that have fewer points.
const Kernel& winograd_kernel(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, Dtype dtype);
template <class Args>
using WinogradFn = void(const Args&);

// Whether no cache holds so many pixels.
template <class T>
bool winograd_far(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t channels) {
  return double(n) * double(h) * double(w) * double(channels) * sizeof(T) >=
         double(kPastCachesBytes);
}

// Pixels that `taps` of a tile meet along an axis, of which [begin, end) lie in the image.
struct WinogradSpan {
  ptrdiff_t at, count, begin, end;
  WinogradSpan(const WinogradAxis& axis, const WinogradPiece& piece, ptrdiff_t first,
               ptrdiff_t outputs)
      : at(axis.stride * first + piece.offset),
        count(outputs + piece.taps - 1),
        begin(at < 0 ? ceil_div(-at, axis.stride) : 0),
        end(std::clamp<ptrdiff_t>(ceil_div(axis.pixels - at, axis.stride), 0, count)) {}
};

template <class T>
WinogradInput<T> winograd_input(const Image<const T>& x, ptrdiff_t n, const WinogradSpan& down,
                                ptrdiff_t stride_h, const WinogradSpan& across, ptrdiff_t stride_w,
                                ptrdiff_t channels, T* v, ptrdiff_t v_xi, bool far) {
  return {x.data + n * x.image + down.at * x.row + across.at * x.pixel,
          x.row * stride_h,
          x.pixel * stride_w,
          down.begin,
          down.end,
          across.begin,
          across.end,
          channels,
          v,
          v_xi,
          far,
          down.count,
          across.count,
          down.count,
          across.count};
}

// Tiles of a section, or 0 where V is made block by block (winograd.cpp).
ptrdiff_t winograd_section(double tiles, double tile_bytes, double u_bytes, double width);

// Whether F(m x m, 3 x 3) serves all passes: pieces of 3 x 3 taps at most, one of them for m = 2,
// no dilation, one group.
bool winograd_accepts(const ConvShape& s, ptrdiff_t m);
// What it takes, in multiply-adds of whole vectors of so many lanes; so is what the store of a
// vector that is not whole takes.
double winograd_cost(const ConvShape& s, ConvPass pass, ptrdiff_t m, double item, double lanes,
                     double masked_store);
// Bytes that its threads share.
double winograd_workspace(const ConvShape& s, ConvPass pass, ptrdiff_t m, Dtype dtype);
double winograd_weight_workspace(const ConvShape& s, ptrdiff_t m, Dtype dtype);

template <class T>
void winograd_fwd(const ConvShape& s, ptrdiff_t m, const T* x, const T* w, const Epilogue<T>& e,
                  T* y);
template <class T>
void winograd_bwd_data(const ConvShape& s, ptrdiff_t m, const T* dy, const T* w,
                       const Epilogue<T>& e, T* dx);
template <class T>
void winograd_bwd_weight(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw);

}  // namespace striate
