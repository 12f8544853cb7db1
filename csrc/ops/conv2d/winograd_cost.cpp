// SPDX-License-Identifier: Apache-2.0
// What Winograd's method takes, before it is chosen.
#include <cmath>

#include "core/caches.h"
#include "ops/conv2d/winograd.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr ptrdiff_t kSectionBytes = 16 << 20;  // of V of a section
constexpr double kFarFilters = 12 << 20;       // bytes of U beyond which it is far away
constexpr double kBlockTiles = 14;             // of a small block
constexpr double kPackedFilters = 8 << 20;     // and from which on it shows that filters are packed

// Calls f(down, across) for the axes of each problem of a pass.
template <class F>
void each_problem(const ConvShape& s, ConvPass pass, F f) {
  const auto across = winograd_across(s, pass);
  for (const WinogradAxis& rows : winograd_down(s, pass))
    for (const WinogradAxis& cols : across) f(rows, cols);
}

// Tiles of m x m outputs, of all images.
double tiles_of(const ConvShape& s, ptrdiff_t m, const WinogradAxis& down,
                const WinogradAxis& across) {
  return double(s.n) * std::ceil(double(down.outputs) / double(m)) *
         std::ceil(double(across.outputs) / double(m));
}

}  // namespace

// A V of few tiles is one section: one that fits L2, or is smaller than U. Many tiles are cut where
// each block of them would read a U that no cache holds: 512 filters of 512 channels are 38 MB.
ptrdiff_t winograd_section(double tiles, double tile_bytes, double u_bytes, double width) {
  const double v_bytes = tiles * tile_bytes;
  const bool few = tiles < width && v_bytes <= double(kSectionBytes);
  if (few || v_bytes <= double(l2_bytes() / 2)) return std::max(ptrdiff_t(tiles), ptrdiff_t(1));
  if (u_bytes <= kFarFilters) return 0;
  const double sections = std::ceil(v_bytes / double(kSectionBytes));
  return ptrdiff_t(std::ceil(tiles / sections));
}

bool winograd_accepts(const ConvShape& s, ptrdiff_t m) {
  const bool one = s.r == 3 && s.s == 3 && s.stride_h == 1 && s.stride_w == 1;
  return (m == 4 || one) && winograd_cuts(s.r, s.stride_h) && winograd_cuts(s.s, s.stride_w) &&
         s.dilation_h == 1 && s.dilation_w == 1 && s.groups == 1 && s.n > 0 && s.p > 0 && s.q > 0 &&
         s.c > 0 && s.k > 0;
}

double winograd_workspace(const ConvShape& s, ConvPass pass, ptrdiff_t m, Dtype dtype) {
  if (pass == ConvPass::bwd_weight) return winograd_weight_workspace(s, m, dtype);
  const bool data = pass == ConvPass::bwd_data;
  const double item = double(item_size(dtype)), line = 64 / item, xis = double((m + 2) * (m + 2));
  const double width = double(data ? s.c : s.k), nr = double(gemm_kernel(dtype).nr);
  double most = 0;
  each_problem(s, pass, [&](const WinogradAxis& down, const WinogradAxis& across) {
    const double depth = double(data ? s.k : s.c) * down.count * across.count;
    const double tiles = tiles_of(s, m, down, across);
    const double panel = xis * (nr * depth + line) * item, u = std::ceil(width / nr) * panel;
    const auto section = double(winograd_section(tiles, xis * depth * item, u, width));
    most = std::max(most, section > 0 ? xis * (section * (depth + line) + line) * item + panel : u);
  });
  return most;
}

double winograd_cost(const ConvShape& s, ConvPass pass, ptrdiff_t m, double item, double lanes,
                     double masked_store) {
  auto whole = [&](ptrdiff_t n) { return double(ceil_div(n, ptrdiff_t(lanes))) * lanes; };
  const double c = double(s.c), k = double(s.k);
  const bool data = pass == ConvPass::bwd_data, weight = pass == ConvPass::bwd_weight;
  // The tile's columns are filters, channels or, of the weight gradient, channels again.
  const double products =
      pass == ConvPass::fwd ? whole(s.k) * (c + 3) : whole(s.c) * (weight ? k : k + 3);
  const double in = whole(data ? s.k : s.c), out = whole(data ? s.c : s.k);
  // What filters of several pieces add, of so many points in all: V of the fewest tiles leaves L2,
  // and filters are packed to and from L3.
  auto beyond_caches = [&](double points, double tiles) {
    const double v = points * in, u = points * c * k;
    return (v * item * kBlockTiles > double(l2_bytes()) ? v * tiles * lanes : 0) +
           (pass == ConvPass::fwd && u * item > kPackedFilters
                ? 2.5 * double(s.r * s.s) * c * k * lanes
                : 0);
  };
  double cost = 0;
  each_problem(s, pass, [&](const WinogradAxis& down, const WinogradAxis& across) {
    const double points = double(s.n) * down.points(m) * across.points(m);
    const double tiles = tiles_of(s, m, down, across);
    // Of a whole tile, by the points of one piece.
    const double xis = double((m + 2) * (m + 2));
    const double share = down.points_of_tile(m) * across.points_of_tile(m) / xis;
    // The weight gradient at a stride reads its pixels scattered (measured where stores are masked
    // for nothing: AVX-512).
    const bool apart = weight && s.stride_w > 1 && masked_store == 0;
    const bool several = down.count * across.count > 1;
    cost += (apart ? 1.9 : 1.1) * points * products +
            (m == 4 ? 400 : 190) * tiles * (share * in + out) +
            (m == 4 ? 406 : 200) * share * whole(s.c) * k +
            (in > double(data ? s.k : s.c) ? xis * share * tiles * masked_store : 0);
    if (several && !weight) cost += beyond_caches(xis * share, tiles);
  });
  return cost;
}

}  // namespace striate
