// SPDX-License-Identifier: Apache-2.0
// The geometry of Winograd convolution: filters cut into pieces, images into tiles.
#pragma once
#include <algorithm>
#include <vector>

#include "core/blocks.h"
#include "ops/conv2d/conv2d.h"

namespace striate {

// One to three taps of a filter along one axis, in the order of the pixels that they meet.
struct WinogradPiece {
  ptrdiff_t taps;
  ptrdiff_t first, step;  // the first tap's index in the filter, and to the next one's
  ptrdiff_t offset;       // of the pixel that the first tap meets for output 0
};

// One axis of a problem: output p under tap t of a piece meets the pixel at
// stride * (p + t) + offset. What a filter's pieces give is added up.
struct WinogradAxis {
  static constexpr int kMostPieces = 4;

  ptrdiff_t outputs, pixels, stride;
  int count = 0;
  WinogradPiece pieces[kMostPieces] = {};

  // Of tiles of m outputs, and of what remains: a tail of one is a tile of two.
  ptrdiff_t tail(ptrdiff_t m) const {
    const ptrdiff_t rest = outputs % m;
    return m != 4 || rest == 0 ? m : std::max<ptrdiff_t>(rest, 2);
  }
  ptrdiff_t most_taps() const {
    ptrdiff_t most = 0;
    for (int i = 0; i < count; ++i) most = std::max(most, pieces[i].taps);
    return most;
  }
  double points_of_tile(ptrdiff_t m) const {
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += double(m + pieces[i].taps - 1);
    return sum;
  }
  // Of all tiles.
  double points(ptrdiff_t m) const {
    double sum = 0;
    for (int i = 0; i < count; ++i) {
      const ptrdiff_t more = pieces[i].taps - 1;
      sum += double(outputs / m) * double(m + more) + double(outputs % m ? tail(m) + more : 0);
    }
    return sum;
  }
};

// The axes of a pass: one, or for the data gradient at a stride one for each residue of the
// image's pixels, which are the outputs then. `filter` taps, `before` pixels of padding.
std::vector<WinogradAxis> winograd_axes(ConvPass pass, ptrdiff_t image, ptrdiff_t outputs,
                                        ptrdiff_t filter, ptrdiff_t stride, ptrdiff_t before);
std::vector<WinogradAxis> winograd_down(const ConvShape& s, ConvPass pass);
std::vector<WinogradAxis> winograd_across(const ConvShape& s, ConvPass pass);
// Whether they have pieces few enough, and each residue has a tap.
bool winograd_cuts(ptrdiff_t filter, ptrdiff_t stride);

// Images of outputs, cut into tiles of m x m, counted in four parts, so that tiles which have a
// point are neighbours: whole but for the last column, whole, whole but for the last row, the last
// corners.
class WinogradTiles {
 public:
  struct Part {
    ptrdiff_t row, col, down, across;        // its first tile in an image, and how many
    ptrdiff_t outputs_down, outputs_across;  // of a tile
    ptrdiff_t begin, end;                    // its tiles among all
  };
  struct Place {
    ptrdiff_t n, row, col;  // image, and the tile's first output in it
    int part;
  };
  static constexpr int kParts = 4;

  WinogradTiles(ptrdiff_t m, ptrdiff_t n, const WinogradAxis& rows, const WinogradAxis& cols)
      : m_(m) {
    const ptrdiff_t low = rows.tail(m), right = cols.tail(m);
    const ptrdiff_t down = ceil_div(rows.outputs, m), last_down = low < m ? 1 : 0;
    const ptrdiff_t across = ceil_div(cols.outputs, m), last_across = right < m ? 1 : 0;
    const ptrdiff_t whole_down = down - last_down, whole_across = across - last_across;
    parts_[0] = {0, whole_across, whole_down, last_across, m, right, 0, 0};
    parts_[1] = {0, 0, whole_down, whole_across, m, m, 0, 0};
    parts_[2] = {whole_down, 0, last_down, whole_across, low, m, 0, 0};
    parts_[3] = {whole_down, whole_across, last_down, last_across, low, right, 0, 0};
    for (Part& part : parts_) {
      part.begin = count_;
      part.end = count_ += n * part.down * part.across;
    }
  }

  ptrdiff_t count() const { return count_; }
  const Part& part(int i) const { return parts_[i]; }

  Place place(ptrdiff_t tile) const {
    int i = 0;
    while (tile >= parts_[i].end) ++i;
    const Part& part = parts_[i];
    const ptrdiff_t in_image = part.down * part.across, at = (tile - part.begin) % in_image;
    return {(tile - part.begin) / in_image, (part.row + at / part.across) * m_,
            (part.col + at % part.across) * m_, i};
  }

 private:
  ptrdiff_t m_, count_ = 0;
  Part parts_[kParts];
};

// Whether a tile of so many points of the a that there are has the i-th: they are the first of the
// finite ones, and infinity, which is the last.
constexpr bool winograd_has(ptrdiff_t i, ptrdiff_t points, ptrdiff_t a) {
  return i < points - 1 || i == a - 1;
}

}  // namespace striate
