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
//
// An image of 14 x 14 is no whole number of tiles of 4 x 4. A last row or column of tiles of 2 or 3
// outputs takes only as many points as F(2, 3) or F(3, 3) need, which are points of F(4, 3) as
// well: U serves both where V is scaled to it, and the products for a point left out have fewer
// tiles. 14 x 14 outputs take 22^2 multiplications instead of 24^2, 7 x 7 take 11^2 instead of
// 12^2.
#pragma once
#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
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
  bool far;  // no cache holds the images
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
  bool past;  // y is written past the caches: it, its steps and the channels are whole lines
};

#define WINOGRAD_input(T) WinogradInput<T>
#define WINOGRAD_filter(T) WinogradFilter<T>
#define WINOGRAD_output(T) WinogradOutput<T>
#define WINOGRAD_dy(T) WinogradInput<T>
#define WINOGRAD_dw(T) WinogradOutput<T>
#define ROW(name, T, isa, what, a, n, down, across) \
  STRIATE_WITH_##isa(void name(const WINOGRAD_##what(T) &);)
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW

// Of tiles of a x a, and n x n values on the other side, with so many points down and across.
const Kernel& winograd_kernel(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, ptrdiff_t down,
                              ptrdiff_t across, Dtype dtype);
template <class Args>
using WinogradFn = void(const Args&);

// The points that F(m, r) takes for the outputs beyond the last whole tile; all a have where none
// are, or no fewer would do.
constexpr ptrdiff_t winograd_tail(ptrdiff_t size, ptrdiff_t m, ptrdiff_t r) {
  const ptrdiff_t rest = size % m;
  return m != 4 || rest == 0 ? m + r - 1 : std::max<ptrdiff_t>(rest, 2) + r - 1;
}

// Images of rows by cols pixels, cut into tiles of m x m outputs from a x a inputs. They are
// counted in four parts, so that those which have a point are neighbours: whole but for the last
// column, whole, whole but for the last row, the last corners.
class WinogradTiles {
 public:
  struct Part {
    ptrdiff_t row, col, down, across;      // its first tile in an image, and how many
    ptrdiff_t points_down, points_across;  // of a tile
    ptrdiff_t begin;                       // its first tile of all
    ptrdiff_t in_image() const { return down * across; }
  };
  struct Place {
    ptrdiff_t n, row, col;  // image, and the tile's first pixel in it
    int part;
  };
  static constexpr int kParts = 4;

  WinogradTiles(ptrdiff_t m, ptrdiff_t r, ptrdiff_t n, ptrdiff_t rows, ptrdiff_t cols)
      : m_(m), a_(m + r - 1) {
    // One size of tail for both axes, the larger one.
    const ptrdiff_t low = winograd_tail(rows, m, r), right = winograd_tail(cols, m, r);
    tail_ = low == a_ ? right : right == a_ ? low : std::max(low, right);
    const ptrdiff_t down = ceil_div(rows, m), whole_down = low < a_ ? down - 1 : down;
    const ptrdiff_t across = ceil_div(cols, m), whole_across = right < a_ ? across - 1 : across;
    const ptrdiff_t last_down = down - whole_down, last_across = across - whole_across;
    parts_[0] = {0, whole_across, whole_down, last_across, a_, tail_, 0};
    parts_[1] = {0, 0, whole_down, whole_across, a_, a_, 0};
    parts_[2] = {whole_down, 0, last_down, whole_across, tail_, a_, 0};
    parts_[3] = {whole_down, whole_across, last_down, last_across, tail_, tail_, 0};
    for (Part& part : parts_) part.begin = count_, count_ += n * part.in_image();
  }

  ptrdiff_t count() const { return count_; }
  const Part& part(int i) const { return parts_[i]; }

  Place place(ptrdiff_t tile) const {
    int i = kParts - 1;
    while (tile < parts_[i].begin) --i;
    const Part& part = parts_[i];
    const ptrdiff_t at = (tile - part.begin) % part.in_image();
    return {(tile - part.begin) / part.in_image(), (part.row + at / part.across) * m_,
            (part.col + at % part.across) * m_, i};
  }

  // Those of tiles [begin, end) that have the point xi.
  struct Range {
    ptrdiff_t begin, end;
    ptrdiff_t count() const { return std::max<ptrdiff_t>(end - begin, 0); }
  };
  Range having(ptrdiff_t xi, ptrdiff_t begin, ptrdiff_t end) const {
    auto in_tail = [&](ptrdiff_t i) { return i < tail_ - 1 || i == a_ - 1; };
    const bool down = in_tail(xi / a_), across = in_tail(xi % a_);
    return {std::max(begin, across ? 0 : parts_[1].begin),
            std::min(end, !down    ? parts_[2].begin
                          : across ? count_
                                   : parts_[3].begin)};
  }

 private:
  ptrdiff_t m_, a_, tail_, count_ = 0;
  Part parts_[kParts];
};

// Whether no cache holds so many pixels.
template <class T>
bool winograd_far(ptrdiff_t n, ptrdiff_t h, ptrdiff_t w, ptrdiff_t channels) {
  return double(n) * double(h) * double(w) * double(channels) * sizeof(T) >=
         double(kPastCachesBytes);
}

// A tile of down by across pixels from (row, col) of image n on, in images of h by w pixels.
template <class T>
WinogradInput<T> winograd_input(const Image<const T>& x, ptrdiff_t h, ptrdiff_t w, ptrdiff_t n,
                                ptrdiff_t row, ptrdiff_t col, ptrdiff_t down, ptrdiff_t across,
                                ptrdiff_t channels, T* v, ptrdiff_t v_xi, bool far) {
  return {x.data + n * x.image + row * x.row + col * x.pixel,
          x.row,
          x.pixel,
          std::max<ptrdiff_t>(-row, 0),
          std::min(down, h - row),
          std::max<ptrdiff_t>(-col, 0),
          std::min(across, w - col),
          channels,
          v,
          v_xi,
          far};
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
