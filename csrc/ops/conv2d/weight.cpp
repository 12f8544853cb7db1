// SPDX-License-Identifier: Apache-2.0
// Blocking:
//
//   for each NR columns of depth x group of filter tiles         one task, any thread
//     for each block of output rows, so that its x and dy stay in L2
//       the columns of x under the block, packed
//       for each tap: the segments of its rows
//         for each tile of MR filters: dw tile (+)= over the block
//
// Pixels of x lie C values apart, often a power of two: in place they would press into a few sets
// of L1. Packed once a block, they serve every tap and every filter. A dw tile is read and written
// once a block of some 200 steps and more: a byte or two a cycle.
#include "ops/conv2d/weight.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/choice.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/tile.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

constexpr ptrdiff_t kBlockBytes = 512 << 10;  // of x and dy
constexpr ptrdiff_t kLeastPixels = 128;       // a block, so that dw's traffic stays small

template <class T>
class WeightEngine {
 public:
  explicit WeightEngine(const WeightGrid<T>& grid) : g_(grid), kernel_(gemm_kernel(dtype_of<T>)) {
    ptrdiff_t per_pixel = ptrdiff_t(sizeof(T)) * (g_.filters + g_.depth * g_.step_h * g_.step_w);
    ptrdiff_t pixels = std::max(kBlockBytes / std::max<ptrdiff_t>(per_pixel, 1), kLeastPixels);
    rows_ = g_.n * g_.p;
    block_ = std::max<ptrdiff_t>(pixels / std::max<ptrdiff_t>(g_.q, 1), 1);
  }

  void run() {
    ptrdiff_t tiles = ceil_div(g_.filters, kernel_.mr), columns = ceil_div(g_.depth, kernel_.nr);
    ptrdiff_t group = tiles, wanted = 3 * ptrdiff_t(num_threads());
    double flops =
        2.0 * double(rows_ * g_.q) * double(g_.filters) * double(g_.depth) * double(g_.taps.size());
    bool shared = flops > 2e6;
    // Few columns: taps become tasks of their own, then filters are split.
    ptrdiff_t tap_group = ptrdiff_t(g_.taps.size());
    auto tasks = [&] {
      return columns * ceil_div(ptrdiff_t(g_.taps.size()), tap_group) * ceil_div(tiles, group);
    };
    if (shared && num_threads() > 1) {
      while (tasks() < wanted && tap_group > 1) tap_group = ceil_div(tap_group, 2);
      while (tasks() < wanted && group > 1) group = ceil_div(group, 2);
    }
    ptrdiff_t taps = ceil_div(ptrdiff_t(g_.taps.size()), tap_group),
              groups = ceil_div(tiles, group);
    auto task = [&](ptrdiff_t part) {
      ptrdiff_t tile = part % groups * group, tap = part / groups % taps * tap_group;
      reduce(part / groups / taps * kernel_.nr, tap,
             std::min(tap + tap_group, ptrdiff_t(g_.taps.size())), tile,
             std::min(tile + group, tiles));
    };
    if (shared) return parallel_for(tasks(), task);
    for (ptrdiff_t part = 0; part < tasks(); ++part) task(part);
  }

 private:
  // Columns [j, j + NR) of the input rows [low, high) that output rows [begin, end) meet under the
  // taps, rows of all images counted through.
  struct Panel {
    ptrdiff_t low, high, row;
    Workspace<T> data;
    Panel(ptrdiff_t low, ptrdiff_t high, ptrdiff_t row)
        : low(low), high(high), row(row), data(size_t(std::max<ptrdiff_t>(high - low, 0) * row)) {}
  };

  Panel pack(ptrdiff_t begin, ptrdiff_t end, ptrdiff_t j) const {
    ptrdiff_t above = 0, below = 0;
    for (const Tap& t : g_.taps) above = std::min(above, t.h), below = std::max(below, t.h);
    auto row_of = [&](ptrdiff_t out, ptrdiff_t tap) {
      ptrdiff_t h = out % g_.p * g_.step_h + tap;
      return out / g_.p * g_.in_h + std::clamp<ptrdiff_t>(h, 0, g_.in_h - 1);
    };
    const ptrdiff_t nr = kernel_.nr, width = std::min<ptrdiff_t>(nr, g_.depth - j);
    const bool any = begin < end;
    Panel panel(any ? row_of(begin, above) : 0, any ? row_of(end - 1, below) + 1 : 0, g_.in_w * nr);
    T* to = panel.data.data();
    for (ptrdiff_t row = panel.low; row < panel.high; ++row) {
      const T* from = g_.x.data + row / g_.in_h * g_.x.image + row % g_.in_h * g_.x.row + j;
      for (ptrdiff_t w = 0; w < g_.in_w; ++w, from += g_.x.pixel, to += nr)
        std::copy_n(from, width, to);
    }
    return panel;
  }

  // The segments of tap t over output rows [begin, end). Returns how many.
  ptrdiff_t segments_of(const Tap& t, ptrdiff_t begin, ptrdiff_t end, Panel& panel,
                        const T* const* rows, GemmSegment<T>* segments) const {
    ptrdiff_t q0 = t.w >= 0 ? 0 : ceil_div(-t.w, g_.step_w);
    ptrdiff_t q1 = std::min(g_.q, floor_div(g_.in_w - 1 - t.w, g_.step_w) + 1);
    if (q0 >= q1) return 0;
    ptrdiff_t count = 0;
    for (ptrdiff_t row = begin; row < end; ++row) {
      ptrdiff_t n = row / g_.p, h = row % g_.p * g_.step_h + t.h, w = q0 * g_.step_w + t.w;
      if (h < 0 || h >= g_.in_h) continue;
      const T* x = panel.data.data() + (n * g_.in_h + h - panel.low) * panel.row + w * kernel_.nr;
      segments[count++] = {rows, (row * g_.q + q0) * g_.dy_pixel, x, q1 - q0};
    }
    return count;
  }

  void reduce(ptrdiff_t j, ptrdiff_t tap0, ptrdiff_t tap1, ptrdiff_t tile0, ptrdiff_t tile1) const {
    const ptrdiff_t mr = kernel_.mr;
    Workspace<GemmSegment<T>> segments{size_t(block_)};
    const T* rows[kMaxTileRows];
    T* out[kMaxTileRows];
    const Epilogue<T> none;
    GemmTile<T> tile{segments.data(),
                     0,
                     g_.dy_pixel,
                     g_.step_w * kernel_.nr,
                     out,
                     0,
                     int(std::min<ptrdiff_t>(kernel_.nr, g_.depth - j)),
                     T(1),
                     T(0),
                     nullptr,
                     nullptr,
                     none.low,
                     none.high,
                     PackedA::columns};
    ptrdiff_t begin = 0;
    do {  // once even with no pixels: dw is still to be written
      ptrdiff_t end = std::min(begin + block_, rows_);
      tile.beta = T(begin == 0 && !g_.accumulate ? 0 : 1);
      Panel panel = pack(begin, end, j);
      for (ptrdiff_t tap = tap0; tap < tap1; ++tap) {
        const Tap& t = g_.taps[size_t(tap)];
        tile.segment_count = segments_of(t, begin, end, panel, rows, segments.data());
        for (ptrdiff_t k = tile0 * mr; k < std::min(tile1 * mr, g_.filters); k += mr) {
          tile.m = int(std::min(mr, g_.filters - k));
          for (int i = 0; i < tile.m; ++i) {
            rows[i] = g_.dy + k + i;
            out[i] = g_.dw + (k + i) * g_.dw_row + t.b + j;
          }
          kernel_.run(tile);
        }
      }
      begin = end;
    } while (begin < rows_);
  }

  const WeightGrid<T>& g_;
  const GemmKernel& kernel_;
  ptrdiff_t rows_, block_;
};

// The tile the other way about: rows are the values under the taps, columns are filters.
//
//   for (part of the pixels) x (group of panels of NR filters) x (group of tiles)
//                                                             one task, any thread
//     for each block of output rows: its dy in panels         L2
//       for each panel                                        L1
//         for each tile of MR values: the part's dw^T tile += over the block
//   the parts' sums added, one after the other
//
// dy comes from memory once. (vgg's first layer on a Zen 3: 12 GF/s tile by tile over all of dy, 41
// with a panel packed at a time, 60 with all of a group.) Of one panel it stays in place: 16
// filters 2.3 times the speed, 32 1.2 times, but 64 in two panels 0.92 (Zen 5). Parts of the pixels
// instead of panels and tiles make 1.1 to 2.2 times the speed of two threads.
template <class T>
class NarrowEngine {
 public:
  explicit NarrowEngine(const WeightGrid<T>& grid)
      : g_(grid),
        kernel_(gemm_kernel(dtype_of<T>)),
        values_(ptrdiff_t(grid.taps.size()) * grid.depth),
        tiles_(ceil_div(values_, kernel_.mr)),
        height_(ceil_div(values_, tiles_)),  // tiles of like height: short ones are slow
        rows_(grid.n * grid.p),
        block_(std::max<ptrdiff_t>(kLeastPixels * 2 / std::max<ptrdiff_t>(grid.q, 1), 1)),
        parts_(std::clamp<ptrdiff_t>(
            conv_pixel_parts(rows_ * grid.q, double(values_) * double(grid.filters)), 1,
            std::max<ptrdiff_t>(rows_, 1))),
        sums_(size_t(parts_ * values_ * grid.filters)) {}

  void run() {
    const ptrdiff_t panels = ceil_div(g_.filters, kernel_.nr), size = values_ * g_.filters;
    ptrdiff_t panel_group = panels, tile_group = tiles_;
    auto tasks = [&] {
      return parts_ * ceil_div(panels, panel_group) * ceil_div(tiles_, tile_group);
    };
    if (num_threads() > 1) {
      const ptrdiff_t wanted = 3 * ptrdiff_t(num_threads());
      while (tasks() < wanted && panel_group > 1) panel_group = ceil_div(panel_group, 2);
      while (tasks() < wanted && tile_group > 1) tile_group = ceil_div(tile_group, 2);
    }
    if (g_.accumulate)
      transpose_kernel<T>()(g_.dw, g_.dw_row, g_.filters, values_, sums_.data(), g_.filters);
    const ptrdiff_t across = ceil_div(tiles_, tile_group), down = ceil_div(panels, panel_group);
    parallel_for(tasks(), [&](ptrdiff_t task) {
      const ptrdiff_t tile = task % across * tile_group;
      const ptrdiff_t panel = task / across % down * panel_group;
      reduce(task / across / down, panel, std::min(panel + panel_group, panels), tile,
             std::min(tile + tile_group, tiles_));
    });
    parallel_ranges(size, 1 << 13, 16, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (ptrdiff_t part = 1; part < parts_; ++part) {
        const T* from = sums_.data() + part * size;
        for (ptrdiff_t i = begin; i < end; ++i) sums_.data()[i] += from[i];
      }
    });
    transpose_kernel<T>()(sums_.data(), g_.filters, values_, g_.filters, g_.dw, g_.dw_row);
  }

 private:
  void reduce(ptrdiff_t part, ptrdiff_t panel0, ptrdiff_t panel1, ptrdiff_t tile0,
              ptrdiff_t tile1) {
    const ptrdiff_t nr = kernel_.nr, last = rows_ * (part + 1) / parts_;
    const bool in_place = g_.dy_pixel <= nr;
    T* const sums = sums_.data() + part * values_ * g_.filters;
    Workspace<GemmSegment<T>> segments{size_t(block_)};
    Workspace<T> dy(in_place ? 0 : size_t((panel1 - panel0) * packed_panel<T>(block_ * g_.q, nr)));
    const T* rows[kMaxTileRows];
    T* out[kMaxTileRows];
    const Epilogue<T> none;
    GemmTile<T> tile{segments.data(),
                     0,
                     g_.step_w * g_.x.pixel,
                     in_place ? g_.dy_pixel : nr,
                     out,
                     0,
                     0,
                     T(1),
                     T(g_.accumulate && part == 0),
                     nullptr,
                     nullptr,
                     none.low,
                     none.high};
    ptrdiff_t begin = rows_ * part / parts_;
    do {  // once even with no pixels: dw is still to be written
      const ptrdiff_t end = std::min(begin + block_, last), pixels = (end - begin) * g_.q;
      const ptrdiff_t first_k = panel0 * nr;
      if (!in_place)
        pack_panels<T>({g_.dy + begin * g_.q * g_.dy_pixel + first_k, g_.dy_pixel, 1, 0}, pixels,
                       std::min(panel1 * nr, g_.filters) - first_k, nr, dy.data());
      for (ptrdiff_t panel = panel0; panel < panel1; ++panel) {
        const T* b = in_place ? g_.dy + begin * g_.q * g_.dy_pixel + panel * nr
                              : dy.data() + (panel - panel0) * packed_panel<T>(pixels, nr);
        for (ptrdiff_t row = begin; row < end; ++row)
          segments[size_t(row - begin)] = {
              rows, row / g_.p * g_.x.image + row % g_.p * g_.step_h * g_.x.row,
              b + (row - begin) * g_.q * tile.b_step, g_.q};
        tile.segment_count = end - begin;
        const ptrdiff_t k = panel * nr;
        tile.n = int(std::min(nr, g_.filters - k));
        for (ptrdiff_t first = tile0 * height_; first < std::min(tile1 * height_, values_);
             first += height_) {
          tile.m = int(std::min(height_, values_ - first));
          for (int i = 0; i < tile.m; ++i) {
            const Tap& t = g_.taps[size_t((first + i) / g_.depth)];
            rows[i] = g_.x.data + t.h * g_.x.row + t.w * g_.x.pixel + (first + i) % g_.depth;
            out[i] = sums + (first + i) * g_.filters + k;
          }
          kernel_.run(tile);
        }
      }
      tile.beta = T(1);
      begin = end;
    } while (begin < last);
  }

  const WeightGrid<T>& g_;
  const GemmKernel& kernel_;
  const ptrdiff_t values_, tiles_, height_, rows_, block_, parts_;
  Workspace<T> sums_;  // [part, tap and value, filter]
};

}  // namespace

template <class T>
void narrow_weight(const WeightGrid<T>& grid) {
  if (grid.filters == 0 || grid.depth == 0 || grid.taps.empty()) return;
  NarrowEngine<T>(grid).run();
}
template void narrow_weight(const WeightGrid<float>&);
template void narrow_weight(const WeightGrid<double>&);

template <class T>
void implicit_weight(const WeightGrid<T>& grid) {
  if (grid.filters == 0 || grid.depth == 0 || grid.taps.empty()) return;
  WeightEngine<T>(grid).run();
}
template void implicit_weight(const WeightGrid<float>&);
template void implicit_weight(const WeightGrid<double>&);

}  // namespace striate
