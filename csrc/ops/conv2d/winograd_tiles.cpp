// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/winograd_tiles.h"

namespace striate {
namespace {

constexpr ptrdiff_t kMostTaps = 3;  // of a piece

// Adds the taps first, first + step, …, `taps` of them, in pieces of like size.
void add_pieces(WinogradAxis& axis, ptrdiff_t taps, ptrdiff_t first, ptrdiff_t step,
                ptrdiff_t offset) {
  const LikeTiles pieces(taps, kMostTaps);
  for (ptrdiff_t i = 0; i < pieces.count; ++i) {
    const ptrdiff_t begin = pieces.begin(i);
    axis.pieces[axis.count++] = {pieces.begin(i + 1) - begin, first + begin * step, step,
                                 offset + begin * axis.stride};
  }
}

}  // namespace

bool winograd_cuts(ptrdiff_t filter, ptrdiff_t stride) {
  constexpr ptrdiff_t most = kMostTaps * WinogradAxis::kMostPieces;
  if (filter < 2 || filter > most || stride < 1 || stride > filter) return false;
  ptrdiff_t pieces = 0;
  for (ptrdiff_t i = 0; i < stride; ++i)
    pieces += ceil_div(ceil_div(filter - i, stride), kMostTaps);
  return pieces <= WinogradAxis::kMostPieces;
}

std::vector<WinogradAxis> winograd_axes(ConvPass pass, ptrdiff_t image, ptrdiff_t outputs,
                                        ptrdiff_t filter, ptrdiff_t stride, ptrdiff_t before) {
  std::vector<WinogradAxis> axes;
  if (pass != ConvPass::bwd_data) {
    WinogradAxis axis{outputs, image, stride};
    for (ptrdiff_t i = 0; i < stride; ++i)
      add_pieces(axis, ceil_div(filter - i, stride), i, stride, i - before);
    return {axis};
  }
  // Pixel h = stride q + residue of x met y's pixel (h + before - tap) / stride, so its taps are
  // first + stride t, and y's pixels fall as they rise.
  for (ptrdiff_t residue = 0; residue < std::min(stride, image); ++residue) {
    WinogradAxis axis{ceil_div(image - residue, stride), outputs, 1};
    const ptrdiff_t first = (residue + before) % stride, taps = ceil_div(filter - first, stride);
    const ptrdiff_t offset = (residue + before - first) / stride - (taps - 1);
    add_pieces(axis, taps, first + (taps - 1) * stride, -stride, offset);
    axes.push_back(axis);
  }
  return axes;
}

std::vector<WinogradAxis> winograd_down(const ConvShape& s, ConvPass pass) {
  return winograd_axes(pass, s.h, s.p, s.r, s.stride_h, s.top);
}
std::vector<WinogradAxis> winograd_across(const ConvShape& s, ConvPass pass) {
  return winograd_axes(pass, s.w, s.q, s.s, s.stride_w, s.left);
}

}  // namespace striate
