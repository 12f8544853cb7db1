// SPDX-License-Identifier: Apache-2.0
// Drives the gradient of the filters by Winograd's method:
//
//   for each block of tiles                        V [xi][tile][piece][C], E [xi][tile][K]    L3
//     for (group of filters) x (group of columns)  one task, any thread; columns are of one piece
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
constexpr ptrdiff_t kFewestOfPieces = 96;   // there is an M for each piece
constexpr ptrdiff_t kTilesATask = 8;        // that are transformed

// Tiles of a block at most.
ptrdiff_t most_tiles(const ConvShape& s, ptrdiff_t pieces, ptrdiff_t m, size_t item) {
  const double xis = double((m + 2) * (m + 2));
  const double bytes = xis * double(s.c * pieces + s.k) * double(item);
  const ptrdiff_t fewest = pieces > 1 ? kFewestOfPieces : kFewestTiles;
  return std::max(ptrdiff_t(double(kBlockBytes) / bytes), fewest);
}

template <class T>
class WeightTiles {
 public:
  WeightTiles(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw)
      : s_(s),
        m_(m),
        a_(m + 2),
        xis_(a_ * a_),
        rows_(winograd_down(s, ConvPass::bwd_weight)[0]),
        cols_(winograd_across(s, ConvPass::bwd_weight)[0]),
        pieces_(rows_.count * cols_.count),
        x_(image(x, s.h, s.w, s.c)),
        dy_(image(dy, s.p, s.q, s.k)),
        dw_(dw),
        kernel_(gemm_kernel(dtype_of<T>)),
        tiles_(m, s.n, rows_, cols_),
        input_{stage<WinogradInput<T>>(WinogradStage::input, a_)},
        gradient_{stage<WinogradInput<T>>(WinogradStage::dy, m)},
        output_{stage<WinogradOutput<T>>(WinogradStage::dw, 3)} {
    if (m == 4) {
      input_[1] = stage<WinogradInput<T>>(WinogradStage::input, 0);
      gradient_[1] = stage<WinogradInput<T>>(WinogradStage::dy, 0);
      output_[1] = stage<WinogradOutput<T>>(WinogradStage::dw, 0);
    }
    blocks_ = ceil_div(tiles_.count(), most_tiles(s, pieces_, m, sizeof(T)));
    block_ = ceil_div(tiles_.count(), blocks_);
    // Lines between rows and between the matrices keep both out of the same sets of L1.
    v_row_ = s.c * pieces_ + kLine, v_xi_ = block_ * v_row_ + kLine;
    e_row_ = s.k + kLine, e_xi_ = block_ * e_row_ + kLine;
    cut();
  }

  void run() {
    Workspace<T> v(size_t(xis_ * v_xi_)), e(size_t(xis_ * e_xi_));
    const ptrdiff_t tasks = pieces_ * down_ * across_;
    Workspace<T> sums(blocks_ > 1 ? size_t(tasks * group_size()) : 0);
    v_ = v.data(), e_ = e.data();
    for (ptrdiff_t begin = 0; begin < tiles_.count(); begin += block_) {
      const ptrdiff_t count = std::min(block_, tiles_.count() - begin);
      parallel_for(ceil_div(count, kTilesATask), [&](ptrdiff_t part) {
        for (ptrdiff_t i = 0; i < kTilesATask && part * kTilesATask + i < count; ++i)
          take(begin, part * kTilesATask + i);
      });
      parallel_for(tasks, [&](ptrdiff_t part) {
        Workspace<T> own(blocks_ > 1 ? 0 : size_t(group_size()));
        T* m = blocks_ > 1 ? sums.data() + part * group_size() : own.data();
        const Group group = this->group(part);
        multiply(group, begin, begin + count, m);
        if (begin + count == tiles_.count()) give(group, m);
      });
    }
  }

 private:
  template <class Args>
  WinogradFn<Args>* stage(WinogradStage stage, ptrdiff_t n) const {
    return winograd_kernel(stage, a_, n, dtype_of<T>).template as<WinogradFn<Args>>();
  }

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
    auto tasks = [&] { return pieces_ * ceil_div(s_.k, filters_) * ceil_div(s_.c, columns_); };
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    while (tasks() < wanted && filters_ > height) filters_ = even(s_.k, filters_ / 2, height);
    while (tasks() < wanted && columns_ > nr) columns_ = even(s_.c, columns_ / 2, nr);
    down_ = ceil_div(s_.k, filters_), across_ = ceil_div(s_.c, columns_);
  }

  // Filters and columns of a task.
  struct Group {
    const WinogradPiece *down, *across;
    ptrdiff_t piece, k, filters, c, columns;
  };
  Group group(ptrdiff_t part) const {
    const ptrdiff_t piece = part / (down_ * across_), at = part % (down_ * across_);
    const ptrdiff_t k = at / across_ * filters_, c = at % across_ * columns_;
    return {&rows_.pieces[piece / cols_.count],
            &cols_.pieces[piece % cols_.count],
            piece,
            k,
            std::min(filters_, s_.k - k),
            c,
            std::min(columns_, s_.c - c)};
  }

  ptrdiff_t m_xi() const { return filters_ * columns_ + kLine; }
  ptrdiff_t group_size() const { return xis_ * m_xi(); }

  // V and E of tile `index` of the block.
  void take(ptrdiff_t begin, ptrdiff_t index) const {
    const auto at = tiles_.place(begin + index);
    const auto& part = tiles_.part(at.part);
    T* v = v_ + index * v_row_;
    for (int i = 0; i < rows_.count; ++i)
      for (int j = 0; j < cols_.count; ++j, v += s_.c) {
        const WinogradSpan down(rows_, rows_.pieces[i], at.row, part.outputs_down);
        const WinogradSpan across(cols_, cols_.pieces[j], at.col, part.outputs_across);
        const bool far = winograd_far<T>(s_.n, s_.h, s_.w, s_.c) && pieces_ == 1;
        input_[down.count < a_ || across.count < a_](
            winograd_input(x_, at.n, down, s_.stride_h, across, s_.stride_w, s_.c, v, v_xi_, far));
      }
    // dy's own pixels, and as many points as the largest piece has.
    const ptrdiff_t down = part.outputs_down, across = part.outputs_across;
    const WinogradAxis own_rows{s_.p, s_.p, 1}, own_cols{s_.q, s_.q, 1};
    WinogradInput<T> in =
        winograd_input(dy_, at.n, WinogradSpan(own_rows, {1, 0, 1, 0}, at.row, down), 1,
                       WinogradSpan(own_cols, {1, 0, 1, 0}, at.col, across), 1, s_.k,
                       e_ + index * e_row_, e_xi_, winograd_far<T>(s_.n, s_.p, s_.q, s_.k));
    in.points_down = down + rows_.most_taps() - 1;
    in.points_across = across + cols_.most_taps() - 1;
    gradient_[in.points_down < a_ || in.points_across < a_](in);
  }

  // The tiles of [begin, end) that have point xi of a group's piece are neighbours.
  void multiply(const Group& g, ptrdiff_t begin, ptrdiff_t end, T* m) const {
    const ptrdiff_t nr = kernel_.nr;
    const ptrdiff_t height = ceil_div(g.filters, ceil_div(g.filters, kernel_.mr));
    const Epilogue<T> none;
    const T* rows[kMaxTileRows];
    T* out[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, 0};
    GemmTile<T> tile{&segment, 1,       e_row_,   v_row_,   out, 0, 0, T(1), T(begin > 0 ? 1 : 0),
                     nullptr,  nullptr, none.low, none.high};
    for (ptrdiff_t xi = 0; xi < xis_; ++xi) {
      ptrdiff_t from = end, to = begin;
      for (int i = 0; i < WinogradTiles::kParts; ++i) {
        const auto& part = tiles_.part(i);
        if (!winograd_has(xi / a_, part.outputs_down + g.down->taps - 1, a_) ||
            !winograd_has(xi % a_, part.outputs_across + g.across->taps - 1, a_) ||
            std::max(begin, part.begin) >= std::min(end, part.end))
          continue;
        from = std::min(from, std::max(begin, part.begin)), to = std::min(end, part.end);
      }
      segment.k = std::max<ptrdiff_t>(to - from, 0);
      if (segment.k == 0 && begin > 0) continue;
      from = segment.k ? from - begin : 0;
      for (ptrdiff_t j = 0; j < g.columns; j += nr) {
        segment.b = v_ + xi * v_xi_ + from * v_row_ + g.piece * s_.c + g.c + j;
        tile.n = int(std::min(nr, g.columns - j));
        for (ptrdiff_t first = 0; first < g.filters; first += height) {
          tile.m = int(std::min(height, g.filters - first));
          for (int i = 0; i < tile.m; ++i) {
            rows[i] = e_ + xi * e_xi_ + from * e_row_ + g.k + first + i;
            out[i] = m + xi * m_xi() + (first + i) * columns_ + j;
          }
          kernel_.run(tile);
        }
      }
    }
  }

  void give(const Group& g, const T* m) const {
    const Epilogue<T> none;
    const WinogradPiece &down = *g.down, &across = *g.across;
    const ptrdiff_t row = s_.s * s_.c, first = down.first * row + across.first * s_.c + g.c;
    for (ptrdiff_t i = 0; i < g.filters; ++i)
      output_[down.taps < 3 || across.taps < 3](
          {m + i * columns_, m_xi(), down.taps, across.taps, g.columns, nullptr, none.low,
           none.high, dw_ + (g.k + i) * s_.r * row + first, down.step * row, across.step * s_.c,
           false, down.taps, across.taps, m_ + down.taps - 1, m_ + across.taps - 1});
  }

  static constexpr ptrdiff_t kLine = 64 / ptrdiff_t(sizeof(T));

  const ConvShape& s_;
  const ptrdiff_t m_, a_, xis_;
  const WinogradAxis rows_, cols_;
  const ptrdiff_t pieces_;
  const Image<const T> x_, dy_;
  T* const dw_;
  const GemmKernel& kernel_;
  const WinogradTiles tiles_;
  // Of whole tiles and filters, and of parts.
  WinogradFn<WinogradInput<T>>*input_[2], *gradient_[2];
  WinogradFn<WinogradOutput<T>>* output_[2];
  ptrdiff_t blocks_, block_;  // how many, and of how many tiles
  ptrdiff_t v_row_, v_xi_, e_row_, e_xi_;
  ptrdiff_t filters_, columns_, down_, across_;  // of a group, and groups
  T *v_ = nullptr, *e_ = nullptr;
};

}  // namespace

double winograd_weight_workspace(const ConvShape& s, ptrdiff_t m, Dtype dtype) {
  const WinogradAxis down = winograd_down(s, ConvPass::bwd_weight)[0],
                     across = winograd_across(s, ConvPass::bwd_weight)[0];
  const ptrdiff_t pieces = down.count * across.count;
  const double item = double(item_size(dtype)), line = 64 / item, xis = double((m + 2) * (m + 2));
  const double tiles =
      double(s.n) * std::ceil(double(s.p) / double(m)) * std::ceil(double(s.q) / double(m));
  const double blocks = std::ceil(tiles / double(most_tiles(s, pieces, m, item_size(dtype))));
  const double block = std::ceil(tiles / blocks), c = double(s.c), k = double(s.k);
  const GemmKernel& kernel = gemm_kernel(dtype);
  const double sums = double(pieces) * (k + kernel.mr) * (c + kernel.nr);
  return xis * item *
         (block * (c * double(pieces) + k + 2 * line) + 2 * line + (blocks > 1 ? sums : 0));
}

template <class T>
void winograd_bwd_weight(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw) {
  WeightTiles<T>(s, m, x, dy, dw).run();
}
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const float*, const float*, float*);
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const double*, const double*,
                                  double*);

}  // namespace striate
