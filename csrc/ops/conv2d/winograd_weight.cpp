// SPDX-License-Identifier: Apache-2.0
// Drives the gradient of the filters by Winograd's method:
//
//   for each block of tiles                        V [xi][tile][piece][C], E [xi][tile][K]    L3
//     for (group of filters) x (group of columns)  one task, any thread; columns are of one piece
//       for each xi, for each NR columns
//         for MR filters at a time                 M [xi][filter][column] (+)=   L2
//       with the last block: dw of the group
//
// Where M is small, a part of the tiles is a task, with V, E, M and dw of its own, and the dw of
// all parts are added: two barriers a block of 0.1 ms cost a third at two threads (32 channels on
// 112 x 112, Zen 5: 2.6 and 1.9 ms).
//
// Bytes a flop out of L3: 2 over the filters and 2 over the columns of a group, 4 over the tiles
// of a block where there are several blocks. Groups of 64 x 64 and 64 tiles make 0.13. (Lost on a
// Zen 3: V and E of 16 MB, 1.8 times slower at 64 channels than of 2; blocks of 32 tiles, 0.8.)
#include <cmath>

#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/winograd.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr ptrdiff_t kBlockBytes = 2 << 20;  // of V and E
constexpr ptrdiff_t kFewestTiles = 64;      // of a block: M is read and written once each
constexpr ptrdiff_t kFewestOfPieces = 96;   // there is an M for each piece
constexpr ptrdiff_t kTilesATask = 8;        // that are transformed

// Tiles go in blocks whose V and E stay in cache. Where all of M fits L2, a block is so short that
// threads would spend it on barriers: parts of the tiles then, with an M and a dw of their own.
struct Cut {
  ptrdiff_t parts, part;    // how many, and of how many tiles
  ptrdiff_t blocks, block;  // of a part

  Cut(const ConvShape& s, ptrdiff_t pieces, ptrdiff_t m, size_t item, ptrdiff_t tiles) {
    const double xis = double((m + 2) * (m + 2)), filters = double(s.k),
                 channels = double(s.c) * double(pieces);
    const double sums = xis * filters * channels * double(item);
    const bool few = sums <= double(l2_bytes());
    parts =
        few ? std::clamp<ptrdiff_t>(
                  conv_pixel_parts(s.n * s.p * s.q, filters * double(s.r * s.s * s.c)), 1, tiles)
            : 1;
    part = ceil_div(tiles, parts);
    parts = ceil_div(tiles, part);
    const ptrdiff_t fewest = pieces > 1 ? kFewestOfPieces : kFewestTiles;
    const double bytes = parts > 1 ? double(l2_bytes()) : double(kBlockBytes);
    const auto most =
        std::max(ptrdiff_t(bytes / (xis * (channels + filters) * double(item))), fewest);
    blocks = ceil_div(part, most);
    block = ceil_div(part, blocks);
  }
};

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
        cut_(s, pieces_, m, sizeof(T), tiles_.count()),
        input_{stage<WinogradInput<T>>(WinogradStage::input, a_)},
        gradient_{stage<WinogradInput<T>>(WinogradStage::dy, m)},
        output_{stage<WinogradOutput<T>>(WinogradStage::dw, 3)} {
    if (m == 4) {
      input_[1] = stage<WinogradInput<T>>(WinogradStage::input, 0);
      gradient_[1] = stage<WinogradInput<T>>(WinogradStage::dy, 0);
      output_[1] = stage<WinogradOutput<T>>(WinogradStage::dw, 0);
    }
    // Lines between rows and between the matrices keep both out of the same sets of L1.
    v_row_ = s.c * pieces_ + kLine, v_xi_ = cut_.block * v_row_ + kLine;
    e_row_ = s.k + kLine, e_xi_ = cut_.block * e_row_ + kLine;
    make_groups();
  }

  void run() {
    if (cut_.parts == 1) return run_blocks();
    const ptrdiff_t size = s_.k * s_.r * s_.s * s_.c;
    Workspace<T> others(size_t((cut_.parts - 1) * size));
    parallel_for(cut_.parts, [&](ptrdiff_t part) {
      run_part(part, part == 0 ? dw_ : others.data() + (part - 1) * size);
    });
    parallel_ranges(size, 1 << 13, 16, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (const T* from = others.data(); from < others.data() + others.size(); from += size)
        for (ptrdiff_t i = begin; i < end; ++i) dw_[i] += from[i];
    });
  }

 private:
  // V and E of the tiles [begin, end), which are among those from `first` on whose products are
  // summed up in one M.
  struct Block {
    T *v, *e;
    ptrdiff_t first, begin, end;
  };

  // All tiles; their transforms and the groups are spread over the threads, block by block.
  void run_blocks() {
    Workspace<T> v(size_t(xis_ * v_xi_)), e(size_t(xis_ * e_xi_));
    const ptrdiff_t tasks = groups();
    Workspace<T> sums(cut_.blocks > 1 ? size_t(tasks * group_size()) : 0);
    for (ptrdiff_t begin = 0; begin < tiles_.count(); begin += cut_.block) {
      const Block block{v.data(), e.data(), 0, begin, std::min(begin + cut_.block, tiles_.count())};
      const ptrdiff_t count = block.end - begin;
      parallel_for(ceil_div(count, kTilesATask), [&](ptrdiff_t part) {
        for (ptrdiff_t i = 0; i < kTilesATask && part * kTilesATask + i < count; ++i)
          take(block, part * kTilesATask + i);
      });
      parallel_for(tasks, [&](ptrdiff_t part) {
        Workspace<T> own(cut_.blocks > 1 ? 0 : size_t(group_size()));
        T* m = cut_.blocks > 1 ? sums.data() + part * group_size() : own.data();
        multiply(group(part), block, m);
        if (block.end == tiles_.count()) give(group(part), m, dw_);
      });
    }
  }

  // A part of the tiles, by one thread: dw of these alone.
  void run_part(ptrdiff_t part, T* dw) const {
    Workspace<T> v(size_t(xis_ * v_xi_)), e(size_t(xis_ * e_xi_));
    Workspace<T> m(size_t(groups() * group_size()));
    const ptrdiff_t first = part * cut_.part, last = std::min(first + cut_.part, tiles_.count());
    for (ptrdiff_t begin = first; begin < last; begin += cut_.block) {
      const Block block{v.data(), e.data(), first, begin, std::min(begin + cut_.block, last)};
      for (ptrdiff_t i = 0; begin + i < block.end; ++i) take(block, i);
      for (ptrdiff_t i = 0; i < groups(); ++i)
        multiply(group(i), block, &m[size_t(i * group_size())]);
    }
    for (ptrdiff_t i = 0; i < groups(); ++i) give(group(i), &m[size_t(i * group_size())], dw);
  }

  template <class Args>
  WinogradFn<Args>* stage(WinogradStage stage, ptrdiff_t n) const {
    return winograd_kernel(stage, a_, n, dtype_of<T>).template as<WinogradFn<Args>>();
  }

  // Groups of like size whose M fills L2, and enough of them for all threads. Which they
  // are does not change a sum.
  void make_groups() {
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
    const ptrdiff_t wanted = cut_.parts == 1 && num_threads() > 1 ? 3 * num_threads() : 1;
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
  ptrdiff_t groups() const { return pieces_ * down_ * across_; }
  ptrdiff_t group_size() const { return xis_ * m_xi(); }

  // V and E of tile `index` of the block.
  void take(const Block& block, ptrdiff_t index) const {
    const auto at = tiles_.place(block.begin + index);
    const auto& part = tiles_.part(at.part);
    T* v = block.v + index * v_row_;
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
                       block.e + index * e_row_, e_xi_, winograd_far<T>(s_.n, s_.p, s_.q, s_.k));
    in.points_down = down + rows_.most_taps() - 1;
    in.points_across = across + cols_.most_taps() - 1;
    gradient_[in.points_down < a_ || in.points_across < a_](in);
  }

  // The tiles of [begin, end) that have point xi of a group's piece are neighbours.
  void multiply(const Group& g, const Block& block, T* m) const {
    const ptrdiff_t begin = block.begin, end = block.end;
    const bool more = begin > block.first;  // M holds the sums of blocks before
    const ptrdiff_t nr = kernel_.nr;
    const ptrdiff_t height = ceil_div(g.filters, ceil_div(g.filters, kernel_.mr));
    const Epilogue<T> none;
    const T* rows[kMaxTileRows];
    T* out[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, 0};
    GemmTile<T> tile{&segment, 1,        e_row_,    v_row_,          out,
                     0,        0,        T(1),      T(more ? 1 : 0), nullptr,
                     nullptr,  none.low, none.high, PackedA::columns};
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
      if (segment.k == 0 && more) continue;
      from = segment.k ? from - begin : 0;
      for (ptrdiff_t j = 0; j < g.columns; j += nr) {
        segment.b = block.v + xi * v_xi_ + from * v_row_ + g.piece * s_.c + g.c + j;
        tile.n = int(std::min(nr, g.columns - j));
        for (ptrdiff_t first = 0; first < g.filters; first += height) {
          tile.m = int(std::min(height, g.filters - first));
          for (int i = 0; i < tile.m; ++i) {
            rows[i] = block.e + xi * e_xi_ + from * e_row_ + g.k + first + i;
            out[i] = m + xi * m_xi() + (first + i) * columns_ + j;
          }
          kernel_.run(tile);
        }
      }
    }
  }

  void give(const Group& g, const T* m, T* dw) const {
    const Epilogue<T> none;
    const WinogradPiece &down = *g.down, &across = *g.across;
    const ptrdiff_t row = s_.s * s_.c, first = down.first * row + across.first * s_.c + g.c;
    for (ptrdiff_t i = 0; i < g.filters; ++i)
      output_[down.taps < 3 || across.taps < 3](
          {m + i * columns_, m_xi(), down.taps, across.taps, g.columns, nullptr, none.low,
           none.high, dw + (g.k + i) * s_.r * row + first, down.step * row, across.step * s_.c,
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
  const Cut cut_;
  // Of whole tiles and filters, and of parts.
  WinogradFn<WinogradInput<T>>*input_[2], *gradient_[2];
  WinogradFn<WinogradOutput<T>>* output_[2];
  ptrdiff_t v_row_, v_xi_, e_row_, e_xi_;
  ptrdiff_t filters_, columns_, down_, across_;  // of a group, and groups
};

}  // namespace

double winograd_weight_workspace(const ConvShape& s, ptrdiff_t m, Dtype dtype) {
  const WinogradAxis down = winograd_down(s, ConvPass::bwd_weight)[0],
                     across = winograd_across(s, ConvPass::bwd_weight)[0];
  const ptrdiff_t pieces = down.count * across.count;
  const double item = double(item_size(dtype)), line = 64 / item, xis = double((m + 2) * (m + 2));
  const ptrdiff_t tiles = s.n * ceil_div(s.p, m) * ceil_div(s.q, m);
  const Cut cut(s, pieces, m, item_size(dtype), tiles);
  const double c = double(s.c), k = double(s.k);
  const GemmKernel& kernel = gemm_kernel(dtype);
  const double sums = double(pieces) * (k + kernel.mr) * (c + kernel.nr);
  const double block = double(cut.block) * (c * double(pieces) + k + 2 * line) + 2 * line;
  // One thread's, and of other parts dw.
  const double others = double(cut.parts - 1) * k * c * double(s.r * s.s);
  return item * (xis * (block + (cut.parts > 1 || cut.blocks > 1 ? sums : 0)) + others);
}

template <class T>
void winograd_bwd_weight(const ConvShape& s, ptrdiff_t m, const T* x, const T* dy, T* dw) {
  WeightTiles<T>(s, m, x, dy, dw).run();
}
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const float*, const float*, float*);
template void winograd_bwd_weight(const ConvShape&, ptrdiff_t, const double*, const double*,
                                  double*);

}  // namespace striate
