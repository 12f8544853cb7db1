// SPDX-License-Identifier: Apache-2.0
// Drives Winograd convolution over blocks of tiles that stay in L2 through all three stages:
//
//   the filters, panel by panel of NR outputs     U [panel][xi][C][NR]       once, all threads
//   for (block of tiles) x (group of panels)      one task, any thread
//     for each tile                               V [xi][tile][C]            L2
//     for each panel
//       for each xi, for MR tiles at a time       M [xi][tile][NR]           the register tile
//       for each tile                             y, bias and clamp
//
// or, where U is the larger part, over sections of tiles of which V stays in L3, so that U is read
// once a section:
//
//   for each section
//     for each tile                               V [xi][tile][C]            all threads
//     for each panel                              one task, any thread
//       its filters                               U [xi][C][NR]
//       for each block of tiles, M and y          as above
//
// No sum is cut between tasks, so results do not depend on threads.
#include "ops/conv2d/winograd.h"

#include <cmath>
#include <functional>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr int variant(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, ptrdiff_t down,
                      ptrdiff_t across) {
  return int((((ptrdiff_t(stage) * 8 + a) * 8 + n) * 8 + down) * 8 + across);
}

const Table<Kernel> kernels{
#define ROW(name, T, isa, what, a, n, down, across) \
  STRIATE_KERNEL(conv2d, name, T, isa, variant(WinogradStage::what, a, n, down, across))
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kSectionBytes = 16 << 20;            // of V of a section
constexpr double kFarFilters = 12 << 20;                 // bytes of U beyond which it is far away
constexpr ptrdiff_t kFewestTiles = 12, kMostTiles = 56;  // of a block
constexpr ptrdiff_t kTilesATask = 8;                     // where V is shared

// Tiles of a section, or 0 where V is made block by block. A V of few tiles is one section: one
// that fits L2, or is smaller than U. Many tiles are cut where each block of them would read a U
// that no cache holds: 512 filters of 512 channels are 38 MB.
ptrdiff_t section_of(double tiles, double tile_bytes, double u_bytes, double width) {
  const double v_bytes = tiles * tile_bytes;
  const bool few = tiles < width && v_bytes <= double(kSectionBytes);
  if (few || v_bytes <= double(l2_bytes() / 2)) return std::max(ptrdiff_t(tiles), ptrdiff_t(1));
  if (u_bytes <= kFarFilters) return 0;
  const double sections = std::ceil(v_bytes / double(kSectionBytes));
  return ptrdiff_t(std::ceil(tiles / sections));
}

// An output image, and the input that its tiles read, which begins `top` above and `left` of it.
template <class T>
struct Images {
  ptrdiff_t n, rows, cols;
  Image<T> out;
  Image<const T> in;
  ptrdiff_t in_h, in_w, top, left, depth, width;
  ptrdiff_t m, a;  // sizes of tiles of either
};

// U is [panel][xi][depth][NR], a line from each xi to the next: 36 matrices of a power of two of
// bytes are written side by side, and would press into the same sets of L1.
template <class T>
ptrdiff_t filters_xi(const Images<T>& g) {
  return packed_panel<T>(g.depth, gemm_kernel(dtype_of<T>).nr);
}

// Writes the transformed filters of a panel.
template <class T>
using Transform = std::function<void(ptrdiff_t panel, T* u)>;

template <class T>
class Tiles {
 public:
  Tiles(const Images<T>& g, const Transform<T>& transform, const Epilogue<T>& e)
      : g_(g),
        m_(g.m),
        a_(g.a),
        xis_(a_ * a_),
        transform_(transform),
        e_(e),
        kernel_(gemm_kernel(dtype_of<T>)),
        tiles_(m_, a_ - m_ + 1, g.n, g.rows, g.cols),
        panels_(ceil_div(g.width, kernel_.nr)) {
    for (int i = 0; i < WinogradTiles::kParts; ++i) {
      const auto& part = tiles_.part(i);
      auto find = [&](WinogradStage stage, ptrdiff_t n) -> const Kernel& {
        return winograd_kernel(stage, a_, n, part.points_down, part.points_across, dtype_of<T>);
      };
      input_[i] = find(WinogradStage::input, a_).template as<WinogradFn<WinogradInput<T>>>();
      output_[i] = find(WinogradStage::output, m_).template as<WinogradFn<WinogradOutput<T>>>();
    }
    const ptrdiff_t tile_bytes = xis_ * g.depth * ptrdiff_t(sizeof(T));
    fewest_ = ceil_div(kFewestTiles, kernel_.mr) * kernel_.mr;
    block_ = l2_bytes() / 2 / tile_bytes / fewest_ * fewest_;
    block_ = std::clamp(block_, fewest_, kMostTiles);
    panel_size_ = xis_ * filters_xi(g);
    section_ = section_of(double(tiles_.count()), double(tile_bytes),
                          double(panels_ * panel_size_) * sizeof(T), double(g.width));
    far_ = winograd_far<T>(g.n, g.in_h, g.in_w, g.depth);
    past_ = winograd_far<T>(g.n, g.rows, g.cols, g.width) && g.width % kLine == 0 &&
            uintptr_t(g.out.data) % 64 == 0 && !e.activation;
  }

  void run() { section_ ? run_sections() : run_blocks(); }

 private:
  void run_blocks() {
    Workspace<T> u(size_t(panels_ * panel_size_));
    parallel_for(panels_, [&](ptrdiff_t panel) { transform_(panel, &u[panel * panel_size_]); });
    ptrdiff_t block = std::min(block_, tiles_.count()), group = panels_;
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    auto tasks = [&] { return ceil_div(tiles_.count(), block) * ceil_div(panels_, group); };
    while (tasks() < wanted && block > fewest_) block = ceil_div(block, 2);
    while (tasks() < wanted && group > 1) group = ceil_div(group, 2);
    const ptrdiff_t across = ceil_div(panels_, group);
    parallel_for(ceil_div(tiles_.count(), block) * across, [&](ptrdiff_t part) {
      const ptrdiff_t tile = part / across * block, panel = part % across * group;
      const ptrdiff_t end = std::min(tile + block, tiles_.count());
      Workspace<T> v(size_t(xis_ * v_xi(end - tile))), m(size_t(xis_ * m_xi(end - tile)));
      take(tile, end - tile, tile, end, v.data());
      for (ptrdiff_t i = panel; i < std::min(panel + group, panels_); ++i)
        give(tile, end, v.data(), v_xi(end - tile), i, &u[i * panel_size_], m.data());
    });
  }

  void run_sections() {
    Workspace<T> v(size_t(xis_ * v_xi(std::min(section_, tiles_.count()))));
    for (ptrdiff_t first = 0; first < tiles_.count(); first += section_)
      run_section(first, std::min(section_, tiles_.count() - first), v.data());
  }

  void run_section(ptrdiff_t first, ptrdiff_t count, T* v) {
    parallel_for(ceil_div(count, kTilesATask), [&](ptrdiff_t part) {
      const ptrdiff_t tile = first + part * kTilesATask;
      take(first, count, tile, std::min(tile + kTilesATask, first + count), v);
    });
    // M of a block takes half of L2.
    const ptrdiff_t most = l2_bytes() / 2 / (xis_ * kernel_.nr * ptrdiff_t(sizeof(T)));
    const ptrdiff_t block = like_height(count, std::max(most, fewest_));
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    ptrdiff_t group = panels_;
    while (ceil_div(panels_, group) < wanted && group > 1) group = ceil_div(group, 2);
    parallel_for(ceil_div(panels_, group), [&](ptrdiff_t part) {
      Workspace<T> u{size_t(panel_size_)}, m(size_t(xis_ * m_xi(block)));
      for (ptrdiff_t i = part * group; i < std::min((part + 1) * group, panels_); ++i) {
        transform_(i, u.data());
        for (ptrdiff_t tile = 0; tile < count; tile += block)
          give(first + tile, first + std::min(tile + block, count), v + tile * v_row(), v_xi(count),
               i, u.data(), m.data());
      }
    });
  }

  // Lines between rows and between the matrices keep both out of the same sets of L1.
  static constexpr ptrdiff_t kLine = 64 / ptrdiff_t(sizeof(T));
  ptrdiff_t v_row() const { return g_.depth + kLine; }
  ptrdiff_t v_xi(ptrdiff_t tiles) const { return tiles * v_row() + kLine; }
  ptrdiff_t m_xi(ptrdiff_t tiles) const { return tiles * kernel_.nr + kLine; }

  // V of tiles [begin, end) of a block of `count` from tile `first` on.
  void take(ptrdiff_t first, ptrdiff_t count, ptrdiff_t begin, ptrdiff_t end, T* v) const {
    for (ptrdiff_t tile = begin; tile < end; ++tile) {
      const auto at = tiles_.place(tile);
      const auto& part = tiles_.part(at.part);
      input_[at.part](winograd_input(g_.in, g_.in_h, g_.in_w, at.n, at.row - g_.top,
                                     at.col - g_.left, part.points_down, part.points_across,
                                     g_.depth, v + (tile - first) * v_row(), v_xi(count), far_));
    }
  }

  // y of a block of tiles, V being theirs, and the filters of a panel.
  void give(ptrdiff_t begin, ptrdiff_t end, const T* v, ptrdiff_t v_xi, ptrdiff_t panel, const T* u,
            T* m) const {
    const ptrdiff_t nr = kernel_.nr, j = panel * nr, channels = std::min(nr, g_.width - j);
    multiply(v, v_xi, begin, end, u, channels, m);
    for (ptrdiff_t tile = begin; tile < end; ++tile) {
      const auto at = tiles_.place(tile);
      T* y = g_.out.data + at.n * g_.out.image + at.row * g_.out.row + at.col * g_.out.pixel + j;
      const ptrdiff_t rows = std::min(m_, g_.rows - at.row);
      const ptrdiff_t cols = std::min(m_, g_.cols - at.col);
      output_[at.part]({m + (tile - begin) * nr, m_xi(end - begin), rows, cols, channels,
                        e_.bias ? e_.bias + j : nullptr, e_.low, e_.high, y, g_.out.row,
                        g_.out.pixel, past_});
      if (e_.activation == nullptr) continue;
      for (ptrdiff_t r = 0; r < rows; ++r)
        for (ptrdiff_t s = 0; s < cols; ++s) {
          T* pixel = y + r * g_.out.row + s * g_.out.pixel;
          e_.activation(pixel, pixel, channels, e_.parameter);
        }
    }
  }

  // M[xi] = V[xi] U[xi] for one panel and tiles [begin, end), in groups of like height.
  void multiply(const T* v, ptrdiff_t v_xi, ptrdiff_t begin, ptrdiff_t end, const T* u,
                ptrdiff_t width, T* m) const {
    const ptrdiff_t v_row = this->v_row(), m_xi = this->m_xi(end - begin), nr = kernel_.nr;
    const Epilogue<T> none;
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, g_.depth};
    GemmTile<T> tile{&segment, 1,    1,       nr,      c,        0,        0,
                     T(1),     T(0), nullptr, nullptr, none.low, none.high};
    tile.n = int(width);
    tile.ahead = kAhead * nr;
    for (ptrdiff_t xi = 0; xi < xis_; ++xi) {
      segment.b = u + xi * filters_xi(g_);
      const auto range = tiles_.having(xi, begin, end);
      if (range.count() == 0) continue;
      const ptrdiff_t height = like_height(range.count(), kernel_.mr);
      for (ptrdiff_t first = range.begin - begin; first < range.end - begin; first += height) {
        tile.m = int(std::min(height, range.end - begin - first));
        for (int r = 0; r < tile.m; ++r) {
          rows[r] = v + xi * v_xi + (first + r) * v_row;
          c[r] = m + xi * m_xi + (first + r) * nr;
        }
        tile.a_ahead = first + height < range.end - begin ? height * v_row : v_xi - first * v_row;
        kernel_.run(tile);
      }
    }
  }

  static constexpr ptrdiff_t kAhead = 32;  // steps that U is asked for: it comes from L3

  const Images<T>& g_;
  const ptrdiff_t m_, a_, xis_;
  const Transform<T>& transform_;
  const Epilogue<T>& e_;
  const GemmKernel& kernel_;
  const WinogradTiles tiles_;
  const ptrdiff_t panels_;
  WinogradFn<WinogradInput<T>>* input_[WinogradTiles::kParts];
  WinogradFn<WinogradOutput<T>>* output_[WinogradTiles::kParts];
  ptrdiff_t fewest_, block_, panel_size_, section_;
  bool far_, past_;
};

// Transforms the filters from column j on as filter(j, space) tells.
template <class T, class Filter>
Transform<T> transform_of(const Images<T>& g, ptrdiff_t r, size_t space, Filter filter) {
  auto* const kernel = winograd_kernel(WinogradStage::filter, g.a, r, g.a, g.a, dtype_of<T>)
                           .template as<WinogradFn<WinogradFilter<T>>>();
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  return [=](ptrdiff_t panel, T* u) {
    Workspace<T> packed(space);
    WinogradFilter<T> f = filter(panel * nr, packed.data());
    f.rows = g.depth, f.n = std::min(nr, g.width - panel * nr);
    f.u = u, f.u_xi = filters_xi(g), f.u_row = nr;
    kernel(f);
  };
}

}  // namespace

const Kernel& winograd_kernel(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, ptrdiff_t down,
                              ptrdiff_t across, Dtype dtype) {
  return kernels.best(dtype, variant(stage, a, n, down, across));
}

bool winograd_accepts(const ConvShape& s, ptrdiff_t r) {
  return s.r == r && s.s == r && s.stride_h == 1 && s.stride_w == 1 && s.dilation_h == 1 &&
         s.dilation_w == 1 && s.groups == 1 && s.n > 0 && s.p > 0 && s.q > 0 && s.c > 0 && s.k > 0;
}

double winograd_workspace(const ConvShape& s, ConvPass pass, ptrdiff_t m, Dtype dtype) {
  if (pass == ConvPass::bwd_weight) return winograd_weight_workspace(s, m, dtype);
  const bool data = pass == ConvPass::bwd_data;
  const double item = double(item_size(dtype)), line = 64 / item, a = double(m + s.r - 1);
  const double depth = double(data ? s.k : s.c), width = double(data ? s.c : s.k);
  const double rows = double(data ? s.h : s.p), cols = double(data ? s.w : s.q);
  const double tiles = double(s.n) * std::ceil(rows / double(m)) * std::ceil(cols / double(m));
  const double nr = double(gemm_kernel(dtype).nr);
  const double panel = a * a * (nr * depth + line) * item, u = std::ceil(width / nr) * panel;
  const auto section = double(section_of(tiles, a * a * depth * item, u, width));
  return section > 0 ? a * a * (section * (depth + line) + line) * item + panel : u;
}

double winograd_cost(const ConvShape& s, ConvPass pass, ptrdiff_t m, double lanes) {
  auto whole = [&](ptrdiff_t n) { return double(ceil_div(n, ptrdiff_t(lanes))) * lanes; };
  const double c = double(s.c), k = double(s.k), a = double(m + s.r - 1);
  const bool data = pass == ConvPass::bwd_data, weight = pass == ConvPass::bwd_weight;
  const double rows = data ? double(s.h) : double(s.p), cols = data ? double(s.w) : double(s.q);
  const double tiles = double(s.n) * std::ceil(rows / double(m)) * std::ceil(cols / double(m));
  // Down or across an image.
  auto points = [&](double size) {
    const double rest = std::fmod(size, double(m));
    const auto tail = double(winograd_tail(ptrdiff_t(rest), m, s.r));
    return std::floor(size / double(m)) * a + (rest > 0 ? tail : 0);
  };
  // The tile's columns are filters, channels or, of the weight gradient, channels again.
  const double products =
      pass == ConvPass::fwd ? whole(s.k) * (c + 3) : whole(s.c) * (weight ? k : k + 3);
  const double transforms = tiles * (whole(s.c) + whole(s.k)), filters = whole(s.c) * k;
  return 1.1 * double(s.n) * points(rows) * points(cols) * products +
         (a == 6 ? 400 : 190) * transforms +
         (a == 6 ? 280 + 14 * double(s.r * s.r) : 200) * filters;
}

template <class T>
void winograd_fwd(const ConvShape& s, ptrdiff_t m, const T* x, const T* w, const Epilogue<T>& e,
                  T* y) {
  const Images<T> g{s.n,
                    s.p,
                    s.q,
                    image(y, s.p, s.q, s.k),
                    image(x, s.h, s.w, s.c),
                    s.h,
                    s.w,
                    s.top,
                    s.left,
                    s.c,
                    s.k,
                    m,
                    m + s.r - 1};
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  // Filters side by side, C values under each tap.
  const ptrdiff_t row = s.r * s.s * s.c;
  const size_t space = size_t(packed_panel<T>(row, nr));
  const Transform<T> transform = transform_of(g, s.r, space, [=](ptrdiff_t j, T* to) {
    pack_panels<T>({w + j * row, 1, row, 0}, row, std::min(nr, s.k - j), nr, to);
    return WinogradFilter<T>{to, s.c * nr, nr, 0, 0, nullptr, 0, 0};
  });
  Tiles<T>(g, transform, e).run();
}

// dx is the correlation of dy with the filters turned by half a turn.
template <class T>
void winograd_bwd_data(const ConvShape& s, ptrdiff_t m, const T* dy, const T* w,
                       const Epilogue<T>& e, T* dx) {
  const ptrdiff_t taps = s.r * s.s, top = s.r - 1 - s.top, left = s.s - 1 - s.left;
  const Images<T> g{s.n,
                    s.h,
                    s.w,
                    image(dx, s.h, s.w, s.c),
                    image(dy, s.p, s.q, s.k),
                    s.p,
                    s.q,
                    top,
                    left,
                    s.k,
                    s.c,
                    m,
                    m + s.r - 1};
  const Transform<T> transform = transform_of(g, s.r, 0, [=](ptrdiff_t j, T*) {
    return WinogradFilter<T>{w + (taps - 1) * s.c + j, -s.c, taps * s.c, 0, 0, nullptr, 0, 0};
  });
  Tiles<T>(g, transform, e).run();
}

#define INSTANCES(T)                                                                              \
  template void winograd_fwd(const ConvShape&, ptrdiff_t, const T*, const T*, const Epilogue<T>&, \
                             T*);                                                                 \
  template void winograd_bwd_data(const ConvShape&, ptrdiff_t, const T*, const T*,                \
                                  const Epilogue<T>&, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
