// SPDX-License-Identifier: Apache-2.0
// Drives the gradient of the filters by Winograd's method:
//
//   for each block of tiles                        V, E [xi][tile][channels]     L3
//     for (group of filters) x (group of columns)  one task, any thread
//       for each xi, for each NR columns
//         for MR filters at a time                 M [xi][filter][column] (+)=   L2
//       with the last block: dw of the group
//
// Bytes a flop out of L3: 2 over the filters and 2 over the columns of a group, 4 over the tiles
// of a block where there are several blocks. Groups of 64 x 64 and 64 tiles make 0.13. (Lost on a
// Zen 3: V and E of 16 MB, 1.8 times slower at 64 channels than of 2; blocks of 32 tiles, 0.8.)
#include <cmath>

#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/winograd.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr ptrdiff_t kBlockBytes = 2 << 20;  // of V and E
constexpr ptrdiff_t kFewestTiles = 64;      // of a block: M is read and written once each
constexpr ptrdiff_t kTilesATask = 8;        // that are transformed

// Tiles of a block at most.
ptrdiff_t most_tiles(const ConvShape& s, ptrdiff_t m, size_t item) {
  const double a = double(m + s.r - 1), bytes = a * a * double(s.c + s.k) * double(item);
  return std::max(ptrdiff_t(double(kBlockBytes) / bytes), kFewestTiles);
}

template <class T>
class WeightTiles {
 public:
  WeightTiles(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw)
      : s_(s),
        m_(m),
        a_(m + s.r - 1),
        xis_(a_ * a_),
        x_(image(x, s.h, s.w, s.c)),
        dy_(image(dy, s.p, s.q, s.k)),
        dw_(dw),
        kernel_(gemm_kernel(dtype_of<T>)),
        tiles_(m, s.r, s.n, s.p, s.q),
        output_(winograd_kernel(WinogradStage::dw, a_, s.r, a_, a_, dtype_of<T>)
                    .template as<WinogradFn<WinogradOutput<T>>>()) {
    for (int i = 0; i < WinogradTiles::kParts; ++i) {
      const auto& part = tiles_.part(i);
      auto find = [&](WinogradStage stage, ptrdiff_t n) {
        return winograd_kernel(stage, a_, n, part.points_down, part.points_across, dtype_of<T>)
            .template as<WinogradFn<WinogradInput<T>>>();
      };
      input_[i] = find(WinogradStage::input, a_);
      gradient_[i] = find(WinogradStage::dy, m);
    }
    blocks_ = ceil_div(tiles_.count(), most_tiles(s, m, sizeof(T)));
    block_ = ceil_div(tiles_.count(), blocks_);
    // Lines between rows and between the matrices keep both out of the same sets of L1.
    v_row_ = s.c + kLine, v_xi_ = block_ * v_row_ + kLine;
    e_row_ = s.k + kLine, e_xi_ = block_ * e_row_ + kLine;
    cut();
  }

  void run() {
    Workspace<T> v(size_t(xis_ * v_xi_)), e(size_t(xis_ * e_xi_));
    Workspace<T> sums(blocks_ > 1 ? size_t(down_ * across_ * group_size()) : 0);
    v_ = v.data(), e_ = e.data();
    for (ptrdiff_t begin = 0; begin < tiles_.count(); begin += block_) {
      const ptrdiff_t count = std::min(block_, tiles_.count() - begin);
      parallel_for(ceil_div(count, kTilesATask), [&](ptrdiff_t part) {
        for (ptrdiff_t i = 0; i < kTilesATask && part * kTilesATask + i < count; ++i)
          take(begin, part * kTilesATask + i);
      });
      parallel_for(down_ * across_, [&](ptrdiff_t part) {
        Workspace<T> own(blocks_ > 1 ? 0 : size_t(group_size()));
        T* m = blocks_ > 1 ? sums.data() + part * group_size() : own.data();
        const ptrdiff_t k = part / across_ * filters_, c = part % across_ * columns_;
        const ptrdiff_t filters = std::min(filters_, s_.k - k);
        const ptrdiff_t columns = std::min(columns_, s_.c - c);
        multiply(k, filters, c, columns, begin, begin + count, m);
        if (begin + count == tiles_.count()) give(k, filters, c, columns, m);
      });
    }
  }

 private:
  // Groups of like size whose M fills L2, and enough of them for all threads. Which they
  // are does not change a sum.
  void cut() {
    const ptrdiff_t nr = kernel_.nr, size = l2_bytes() / (xis_ * ptrdiff_t(sizeof(T)));
    ptrdiff_t side = 1;
    while ((side + 1) * (side + 1) <= size) ++side;
    auto even = [](ptrdiff_t size, ptrdiff_t most, ptrdiff_t unit) {
      const ptrdiff_t units = ceil_div(size, unit), groups = ceil_div(units * unit, most);
      return ceil_div(units, groups) * unit;
    };
    columns_ = even(s_.c, std::max(side, nr), nr);
    const ptrdiff_t height = kernel_.mr;
    filters_ = even(s_.k, std::max(size / columns_, height), height);
    auto tasks = [&] { return ceil_div(s_.k, filters_) * ceil_div(s_.c, columns_); };
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    while (tasks() < wanted && filters_ > height) filters_ = even(s_.k, filters_ / 2, height);
    while (tasks() < wanted && columns_ > nr) columns_ = even(s_.c, columns_ / 2, nr);
    down_ = ceil_div(s_.k, filters_), across_ = ceil_div(s_.c, columns_);
  }

  ptrdiff_t m_xi() const { return filters_ * columns_ + kLine; }
  ptrdiff_t group_size() const { return xis_ * m_xi(); }

  // V and E of tile `index` of the block.
  void take(ptrdiff_t begin, ptrdiff_t index) const {
    const auto at = tiles_.place(begin + index);
    const auto& part = tiles_.part(at.part);
    const ptrdiff_t down = part.points_down, across = part.points_across, less = a_ - m_;
    input_[at.part](winograd_input(x_, s_.h, s_.w, at.n, at.row - s_.top, at.col - s_.left, down,
                                   across, s_.c, v_ + index * v_row_, v_xi_,
                                   winograd_far<T>(s_.n, s_.h, s_.w, s_.c)));
    gradient_[at.part](winograd_input(dy_, s_.p, s_.q, at.n, at.row, at.col, down - less,
                                      across - less, s_.k, e_ + index * e_row_, e_xi_,
                                      winograd_far<T>(s_.n, s_.p, s_.q, s_.k)));
  }

  // Of tiles [begin, end), which are a block.
  void multiply(ptrdiff_t k, ptrdiff_t filters, ptrdiff_t c, ptrdiff_t columns, ptrdiff_t begin,
                ptrdiff_t end, T* m) const {
    const ptrdiff_t nr = kernel_.nr, height = ceil_div(filters, ceil_div(filters, kernel_.mr));
    const Epilogue<T> none;
    const T* rows[kMaxTileRows];
    T* out[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, 0};
    GemmTile<T> tile{&segment, 1,       e_row_,   v_row_,   out, 0, 0, T(1), T(begin > 0 ? 1 : 0),
                     nullptr,  nullptr, none.low, none.high};
    for (ptrdiff_t xi = 0; xi < xis_; ++xi) {
      const auto range = tiles_.having(xi, begin, end);
      const ptrdiff_t from = range.count() ? range.begin - begin : 0;
      segment.k = range.count();
      if (segment.k == 0 && begin > 0) continue;
      for (ptrdiff_t j = 0; j < columns; j += nr) {
        segment.b = v_ + xi * v_xi_ + from * v_row_ + c + j;
        tile.n = int(std::min(nr, columns - j));
        for (ptrdiff_t first = 0; first < filters; first += height) {
          tile.m = int(std::min(height, filters - first));
          for (int i = 0; i < tile.m; ++i) {
            rows[i] = e_ + xi * e_xi_ + from * e_row_ + k + first + i;
            out[i] = m + xi * m_xi() + (first + i) * columns_ + j;
          }
          kernel_.run(tile);
        }
      }
    }
  }

  void give(ptrdiff_t k, ptrdiff_t filters, ptrdiff_t c, ptrdiff_t columns, const T* m) const {
    const Epilogue<T> none;
    for (ptrdiff_t i = 0; i < filters; ++i)
      output_({m + i * columns_, m_xi(), s_.r, s_.s, columns, nullptr, none.low, none.high,
               dw_ + (k + i) * s_.r * s_.s * s_.c + c, s_.s * s_.c, s_.c, false});
  }

  static constexpr ptrdiff_t kLine = 64 / ptrdiff_t(sizeof(T));

  const ConvShape& s_;
  const ptrdiff_t m_, a_, xis_;
  const Image<const T> x_, dy_;
  T* const dw_;
  const GemmKernel& kernel_;
  const WinogradTiles tiles_;
  WinogradFn<WinogradInput<T>>* input_[WinogradTiles::kParts];
  WinogradFn<WinogradInput<T>>* gradient_[WinogradTiles::kParts];
  WinogradFn<WinogradOutput<T>>* const output_;
  ptrdiff_t blocks_, block_;  // how many, and of how many tiles
  ptrdiff_t v_row_, v_xi_, e_row_, e_xi_;
  ptrdiff_t filters_, columns_, down_, across_;  // of a group, and groups
  T *v_ = nullptr, *e_ = nullptr;
};

}  // namespace

double winograd_weight_workspace(const ConvShape& s, ptrdiff_t m, Dtype dtype) {
  const double item = double(item_size(dtype)), line = 64 / item, a = double(m + s.r - 1);
  const auto tiles = double(WinogradTiles(m, s.r, s.n, s.p, s.q).count());
  const double blocks = std::ceil(tiles / double(most_tiles(s, m, item_size(dtype))));
  const double block = std::ceil(tiles / blocks), c = double(s.c), k = double(s.k);
  const GemmKernel& kernel = gemm_kernel(dtype);
  const double sums = (k + kernel.mr) * (c + kernel.nr);
  return a * a * item * (block * (c + k + 2 * line) + 2 * line + (blocks > 1 ? sums : 0));
}

template <class T>
void winograd_bwd_weight(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw) {
  WeightTiles<T>(s, m, x, dy, dw).run();
}
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const float*, const float*, float*);
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const double*, const double*,
                                  double*);

}  // namespace striate
