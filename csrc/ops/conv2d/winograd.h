// SPDX-License-Identifier: Apache-2.0
// Convolution with filters of r x r at stride 1 by Winograd's minimal filtering (Winograd 1980;
// Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016): m x m outputs at a
// time from a = m + r - 1 by a inputs d and the filter g,
//
//   y = A^T ((G g G^T) * (B^T d B)) A          * element by element
//
// so that a^2 multiplications make what takes r^2 m^2 directly: F(2x2, 3x3) 2.25 times fewer,
// F(4x4, 3x3) 4 times, F(2x2, 5x5) 2.8 times. Over many tiles and channels, the products for one of
// the a^2 elements, `xi`, are a matrix product:
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
#pragma once
#include <algorithm>

#include "core/blocks.h"
#include "ops/conv2d/conv2d.h"
#include "ops/conv2d/implicit.h"

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
};
// filter: u[xi][i][j] = (G g G^T)[xi] for `rows` rows of n filters side by side; tap t of a row
// lies w_tap on.
template <class T>
struct WinogradFilter {
  const T* w;
  ptrdiff_t w_tap, w_row, rows, n;
  T* u;
  ptrdiff_t u_xi, u_row;
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
};

#define WINOGRAD_input(T) WinogradInput<T>
#define WINOGRAD_filter(T) WinogradFilter<T>
#define WINOGRAD_output(T) WinogradOutput<T>
#define WINOGRAD_dy(T) WinogradInput<T>
#define WINOGRAD_dw(T) WinogradOutput<T>
#define ROW(name, T, isa, what, a, n) STRIATE_WITH_##isa(void name(const WINOGRAD_##what(T) &);)
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

// Of tiles of a x a, and n x n values on the other side.
const Kernel& winograd_kernel(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, Dtype dtype);
template <class Args>
using WinogradFn = void(const Args&);

// Images of rows by cols pixels, cut into tiles of m x m.
struct WinogradTiles {
  ptrdiff_t m, n, rows, cols;
  ptrdiff_t down = ceil_div(rows, m), across = ceil_div(cols, m);
  ptrdiff_t count = n * down * across;

  struct Place {
    ptrdiff_t n, row, col;  // image, and the tile's first pixel in it
  };
  Place place(ptrdiff_t tile) const {
    const ptrdiff_t in_image = tile % (down * across);
    return {tile / (down * across), in_image / across * m, in_image % across * m};
  }
};

// The tile of `size` by `size` pixels from (at.row, at.col) on, in images of h by w pixels.
template <class T>
WinogradInput<T> winograd_input(const Image<const T>& x, ptrdiff_t h, ptrdiff_t w,
                                const WinogradTiles::Place& at, ptrdiff_t size, ptrdiff_t channels,
                                T* v, ptrdiff_t v_xi) {
  return {x.data + at.n * x.image + at.row * x.row + at.col * x.pixel,
          x.row,
          x.pixel,
          std::max<ptrdiff_t>(-at.row, 0),
          std::min(size, h - at.row),
          std::max<ptrdiff_t>(-at.col, 0),
          std::min(size, w - at.col),
          channels,
          v,
          v_xi};
}

// Whether the passes can go by F(m x m, r x r), for any m: such filters at stride 1, one group.
bool winograd_accepts(const ConvShape& s, ptrdiff_t r);
// What F(m x m) takes, in multiply-adds of whole vectors of so many lanes.
double winograd_cost(const ConvShape& s, ConvPass pass, ptrdiff_t m, double lanes);
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
