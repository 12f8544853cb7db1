// SPDX-License-Identifier: Apache-2.0
// Blocking, for MR x NR tiles:
//
//   for (block of kTiles pixel tiles) x (group of panels)      one task, any thread
//     row pointers of every (tile, tap), once
//     for each panel of NR output channels                      B slice: L2
//       for each block of depth, so that taps * depth * NR fits
//         for each tile of the block                             in: L2 or L3, 4 bytes a cycle
//
// A panel's slice is read once a tile: 128 bytes a step of MR * NR / 32 cycles, within what L2
// gives.
#include "ops/conv2d/implicit.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr ptrdiff_t kTiles = 28;           // pixel tiles a task
constexpr size_t kSliceBytes = 160 << 10;  // of B, in L2 beside the input

template <class T>
class Engine {
 public:
  explicit Engine(const PixelGrid<T>& grid)
      : g_(grid), kernel_(gemm_kernel(dtype_of<T>)), zeros_(size_t(grid.depth)) {
    std::fill_n(zeros_.data(), grid.depth, T(0));
    taps_ = ptrdiff_t(grid.taps.size());
    pixels_ = grid.n * grid.rows * grid.cols;
    ptrdiff_t slice = ptrdiff_t(kSliceBytes / (sizeof(T) * size_t(kernel_.nr)));
    depth_block_ = std::max<ptrdiff_t>(slice / std::max<ptrdiff_t>(taps_, 1), 32);
    ptrdiff_t blocks = ceil_div(std::max<ptrdiff_t>(grid.depth, 1), depth_block_);
    depth_block_ = ceil_div(ceil_div(std::max<ptrdiff_t>(grid.depth, 1), blocks), 16) * 16;
  }

  void run() {
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr;
    ptrdiff_t tiles = ceil_div(pixels_, mr), panels = ceil_div(g_.width, nr);
    ptrdiff_t block = kTiles, group = panels;
    double flops = 2.0 * double(pixels_) * double(g_.width) * double(g_.depth) * double(taps_);
    bool shared = flops > 2e6;
    if (shared &&
        num_threads() > 1) {  // enough tasks to go round; their edges do not change a result
      ptrdiff_t wanted = 3 * ptrdiff_t(num_threads());
      auto tasks = [&] { return ceil_div(tiles, block) * ceil_div(panels, group); };
      while (tasks() < wanted && block > 4) block = ceil_div(block, 2);
      while (tasks() < wanted && group > 1) group = ceil_div(group, 2);
    }
    ptrdiff_t across = ceil_div(panels, group);
    auto task = [&](ptrdiff_t part) {
      ptrdiff_t tile = part / across * block, panel = part % across * group;
      multiply(tile * mr, std::min((tile + block) * mr, pixels_), panel,
               std::min(panel + group, panels));
    };
    ptrdiff_t parts = ceil_div(tiles, block) * across;
    if (shared) return parallel_for(parts, task);
    for (ptrdiff_t part = 0; part < parts; ++part) task(part);
  }

 private:
  struct Pixels {            // the row pointers of pixels [begin, end), tiles one behind the other
    Workspace<const T*> in;  // [tile][tap][mr]
    Workspace<T*> out;       // [tile][mr]
  };

  // Walks the output pixels in memory order, without a division a pixel.
  struct Walk {
    const PixelGrid<T>& g;
    ptrdiff_t n, row, col;
    Walk(const PixelGrid<T>& grid, ptrdiff_t pixel)
        : g(grid),
          n(pixel / (grid.rows * grid.cols)),
          row(pixel / grid.cols % grid.rows),
          col(pixel % grid.cols) {}
    void next() {
      if (++col < g.cols) return;
      col = 0;
      if (++row < g.rows) return;
      row = 0, ++n;
    }
  };

  void point(ptrdiff_t begin, ptrdiff_t end, Pixels& to) const {
    const ptrdiff_t mr = kernel_.mr;
    Walk at(g_, begin);
    for (ptrdiff_t first = begin, tile = 0; first < end; first += mr, ++tile) {
      const int count = int(std::min(mr, end - first));
      ptrdiff_t h[kMaxTileRows], w[kMaxTileRows];
      const T* in[kMaxTileRows];
      for (int i = 0; i < count; ++i, at.next()) {
        h[i] = at.row * g_.step_h, w[i] = at.col * g_.step_w;
        in[i] = g_.in.data + at.n * g_.in.image + h[i] * g_.in.row + w[i] * g_.in.pixel;
        to.out[tile * mr + i] =
            g_.out.data + at.n * g_.out.image + at.row * g_.out.row + at.col * g_.out.pixel;
      }
      point_taps(in, h, w, count, to.in.data() + tile * taps_ * mr);
    }
  }

  // Row pointers of one tile: most tiles lie inside the image under every tap. A tap under which no
  // pixel does gets a null for its first row, and is left out.
  void point_taps(const T* const* in, const ptrdiff_t* h, const ptrdiff_t* w, int count,
                  const T** pointer) const {
    const auto [h_low, h_high] = std::minmax_element(h, h + count);
    const auto [w_low, w_high] = std::minmax_element(w, w + count);
    for (const Tap& tap : g_.taps) {
      const ptrdiff_t offset = tap.plane + tap.h * g_.in.row + tap.w * g_.in.pixel;
      bool all = *h_low + tap.h >= 0 && *h_high + tap.h < g_.in_h && *w_low + tap.w >= 0 &&
                 *w_high + tap.w < g_.in_w;
      if (all) {
        for (int i = 0; i < count; ++i) pointer[i] = in[i] + offset;
      } else {
        bool any = false;
        for (int i = 0; i < count; ++i) {
          bool inside =
              size_t(h[i] + tap.h) < size_t(g_.in_h) && size_t(w[i] + tap.w) < size_t(g_.in_w);
          pointer[i] = inside ? in[i] + offset : zeros_.data();
          any |= inside;
        }
        if (!any) pointer[0] = nullptr;
      }
      pointer += kernel_.mr;
    }
  }

  void multiply(ptrdiff_t begin, ptrdiff_t end, ptrdiff_t panel0, ptrdiff_t panel1) const {
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr, tiles = ceil_div(end - begin, mr);
    Pixels pixels{Workspace<const T*>(size_t(tiles * taps_ * mr)),
                  Workspace<T*>(size_t(tiles * mr))};
    point(begin, end, pixels);
    Workspace<GemmSegment<T>> segments{size_t(taps_)};
    for (ptrdiff_t panel = panel0; panel < panel1; ++panel) {
      ptrdiff_t depth = 0;
      do {  // once even with no depth: the output is still to be written
        multiply_panel(pixels, end - begin, panel, depth, segments.data());
        depth += depth_block_;
      } while (depth < g_.depth);
    }
    if (g_.epilogue.activation == nullptr) return;
    ptrdiff_t j0 = panel0 * nr, j1 = std::min(panel1 * nr, g_.width);
    for (ptrdiff_t i = 0; i < end - begin; ++i) {
      T* row = pixels.out[i] + j0;
      g_.epilogue.activation(row, row, j1 - j0, g_.epilogue.parameter);
    }
  }

  void multiply_panel(Pixels& pixels, ptrdiff_t count, ptrdiff_t panel, ptrdiff_t depth,
                      GemmSegment<T>* segments) const {
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr, j = panel * nr;
    const ptrdiff_t steps = std::min(depth_block_, g_.depth - depth);
    const T* b = g_.b + (panel * g_.b_rows + depth) * nr;
    const Epilogue<T> none;
    const bool last = depth + depth_block_ >= g_.depth;
    const Epilogue<T>& e = last ? g_.epilogue : none;
    GemmTile<T> tile{segments,
                     taps_,
                     1,
                     nr,
                     nullptr,
                     0,
                     int(std::min(nr, g_.width - j)),
                     T(1),
                     T(depth == 0 ? 0 : 1),
                     e.bias ? e.bias + j : nullptr,
                     nullptr,
                     e.low,
                     e.high};
    T* out[kMaxTileRows];
    tile.c = out;
    for (ptrdiff_t first = 0, at = 0; first < count; first += mr, ++at) {
      tile.m = int(std::min(mr, count - first));
      const T* const* rows = pixels.in.data() + at * taps_ * mr;
      tile.segment_count = 0;
      for (ptrdiff_t t = 0; t < taps_; ++t)
        if (rows[t * mr] != nullptr)
          segments[tile.segment_count++] = {rows + t * mr, depth, b + g_.taps[size_t(t)].b * nr,
                                            steps};
      for (int i = 0; i < tile.m; ++i) out[i] = pixels.out[first + i] + j;
      kernel_.run(tile);
    }
  }

  const PixelGrid<T>& g_;
  const GemmKernel& kernel_;
  mutable Workspace<T> zeros_;
  ptrdiff_t taps_, pixels_, depth_block_;
};

}  // namespace

std::vector<Meeting> meetings(ptrdiff_t first, ptrdiff_t pad, ptrdiff_t filter, ptrdiff_t dilation,
                              ptrdiff_t stride) {
  std::vector<Meeting> list;
  for (ptrdiff_t r = 0; r < filter; ++r) {
    ptrdiff_t at = first + pad - r * dilation;
    if (at % stride == 0) list.push_back({r, at / stride});
  }
  return list;
}

template <class T>
void implicit_gemm(const PixelGrid<T>& grid) {
  if (grid.n * grid.rows * grid.cols == 0 || grid.width == 0) return;
  Engine<T>(grid).run();
}
template void implicit_gemm(const PixelGrid<float>&);
template void implicit_gemm(const PixelGrid<double>&);

}  // namespace striate
