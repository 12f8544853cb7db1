// SPDX-License-Identifier: Apache-2.0
// Drives the register tile over a product, blocked after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008), with B's block in L2 and A's rows in L1:
//
//   for a part of C                           one task, any thread; no task waits for another
//     for pc in K by KC
//       for jc in its columns by NC           pack B into panels of NR columns: [KC, NC], L2
//         for ic in its rows by MC            pack A: [MC, KC], L2
//           for each tile of MR rows          A's rows [MR, KC]: L1
//             for each panel of NR columns    B's panel streams from L2, asked for ahead
//
// Where B is read in place, NC is all of N and the two loops inside change places: a panel of B
// comes once, asked for two panels ahead, and tiles of rows pass over it.
//
// Tasks pack for themselves: a block of B is packed again for other rows of C, which saves the
// barrier between packing and multiplying.
//
// What A and B are made of is the caller's: `Operands` has
//
//   problem                       m, n, c, alpha, beta and epilogue of a GemmProblem
//   k, kc, nc                     steps of the tile: all, and of a block; columns of a block
//   packs_a, packs_b              whether blocks are copied into the space that is given
//   panel_by_panel                B in memory: its panels are the outer loop, each is read once
//   rows(step, i0, i1, space)     A's rows of a step
//   panels(step, j0, j1, space)   B's panels of a step
//   next(step, c)                 what a task that makes `c` reads in the next step
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/tile.h"

namespace striate {

constexpr ptrdiff_t kBlockM = 112;      // MC, of packed A: a multiple of 4, 6, 14
constexpr ptrdiff_t kLeastBlockN = 96;  // NC, of packed B, is a multiple of it, and it of every NR
constexpr double kTaskFlops = 8e9;      // of a task at most, but for one block of A
constexpr double kSerialFlops = 4e6;    // below, waking a second core costs more than it brings

// One block of A or B as the tiles will read it.
template <class T>
struct RowsOfA {  // A[i, k] = data[(i - i0) * row + k * step], i0 the block's first row
  const T* data;
  ptrdiff_t row, step;
  ptrdiff_t height = kMaxTileRows;  // of a tile at most
  ptrdiff_t panel = 0;              // or, where not 0, from one tile's rows to the next's
};
template <class T>
struct PanelsOfB {  // B[k, j] = data[(j - j0) / NR * panel + k * step + (j - j0) % NR]
  const T* data;
  ptrdiff_t panel, step;
  bool stays = false;  // in L2, once the first tile has asked for it: the others need not
};

// NC: packed B takes three quarters of L2, or little of it where one block of A is all that meets
// it. A panel of one line a step comes as fast from L3, asked for in time, and A then passes over
// more columns: 1024 cubed 91 to 94 GF/s on a Zen 3. It moves no result.
template <class T>
ptrdiff_t block_n(ptrdiff_t m, ptrdiff_t nr) {
  constexpr ptrdiff_t column = kPackedK<float> * ptrdiff_t(sizeof(float));
  if (m <= kBlockM) return kLeastBlockN;
  if (nr * ptrdiff_t(sizeof(T)) <= 64) return 24 * kLeastBlockN;
  const ptrdiff_t units = l2_bytes() / 4 * 3 / (column * kLeastBlockN);
  return std::clamp<ptrdiff_t>(units, 1, 8) * kLeastBlockN;
}

struct BlockOfC {
  ptrdiff_t i0, i1, j0, j1;
};

// What the next block of k reads where A and B lie, if that is two runs of memory that L2 can hold.
template <class T>
struct NextBlock {
  const T *a = nullptr, *b = nullptr;
  ptrdiff_t a_size = 0, b_size = 0;

  // What the `tile`-th tile of this block, whose panel of B is `panel`, of so many elements, shall
  // ask for, as GemmTile's `ahead`.
  ptrdiff_t ahead(ptrdiff_t tile, ptrdiff_t elements, const T* panel) const {
    const ptrdiff_t at = tile * elements, in_b = at - a_size;
    if (in_b >= b_size) return 0;
    const uintptr_t wanted = reinterpret_cast<uintptr_t>(in_b < 0 ? a + at : b + in_b);
    return ptrdiff_t(wanted - reinterpret_cast<uintptr_t>(panel)) / ptrdiff_t(sizeof(T));
  }
};

struct ProductStep {  // a block of k
  ptrdiff_t k0, k;
  bool first, last;
};

template <class T, class Operands>
class Product {
 public:
  Product(const Operands& operands, const GemmKernel& kernel)
      : o_(operands), p_(o_.problem), kernel_(kernel), nr_(kernel.nr), mr_(kernel.mr) {}

  void run() {
    if (2.0 * double(p_.m) * double(p_.n) * double(o_.k) <= kSerialFlops)
      return task({{0, p_.m, 0, p_.n}});
    // Enough tasks to go round. Their edges do not change a result.
    const ptrdiff_t wanted = 4 * ptrdiff_t(threads_here());
    ptrdiff_t mc = p_.m, nc = std::min(std::max(o_.nc, 4 * kLeastBlockN), p_.n);
    auto tasks = [&] { return ceil_div(p_.m, mc) * ceil_div(p_.n, nc); };
    auto halve = [&](ptrdiff_t& size, ptrdiff_t unit, ptrdiff_t least_units) {
      while (threads_here() > 1 && tasks() < wanted && size > least_units * unit)
        size = ceil_div(ceil_div(size, 2), unit) * unit;
    };
    halve(mc, mr_, 24), halve(nc, nr_, 4), halve(mc, mr_, 2), halve(nc, nr_, 1);
    // An interrupt waits for the end of a task.
    const double row_flops = 2.0 * double(nc) * double(o_.k);
    if (double(mc) * row_flops > kTaskFlops)
      mc = ceil_div(ptrdiff_t(kTaskFlops / row_flops) + 1, kBlockM) * kBlockM;
    const ptrdiff_t across = ceil_div(p_.n, nc);
    parallel_for(ceil_div(p_.m, mc) * across, [&](ptrdiff_t part) {
      const ptrdiff_t i = part / across * mc, j = part % across * nc;
      task({{i, std::min(i + mc, p_.m), j, std::min(j + nc, p_.n)}});
    });
  }

 private:
  struct Part : BlockOfC {
    bool whole_a = false;  // its rows are all of the task's
  };

  // A part of C, over all of K.
  void task(const Part& part) const {
    const ptrdiff_t mc = o_.packs_a ? kBlockM : part.i1 - part.i0;
    const ptrdiff_t width = std::min(o_.nc, part.j1 - part.j0);
    const ptrdiff_t height = std::min(mc, part.i1 - part.i0);
    Workspace<T> b_space(o_.packs_b ? size_t(ceil_div(width, nr_) * packed_panel<T>(o_.kc, nr_))
                                    : 0);
    Workspace<T> a_space(o_.packs_a ? size_t((height + mr_) * kPackedRow<T>) : 0);
    ptrdiff_t k0 = 0;
    do {  // once even if K is 0: C is still to be written
      const ptrdiff_t k = std::min(o_.kc, o_.k - k0);
      const ProductStep step{k0, k, k0 == 0, k0 + k >= o_.k};
      RowsOfA<T> a{};
      for (ptrdiff_t j = part.j0; j < part.j1; j += o_.nc) {
        const ptrdiff_t j_end = std::min(j + o_.nc, part.j1);
        const PanelsOfB<T> b = o_.panels(step, j, j_end, b_space.data());
        for (ptrdiff_t i = part.i0; i < part.i1; i += mc) {
          const ptrdiff_t i_end = std::min(i + mc, part.i1);
          const bool whole = part.i1 - part.i0 <= mc;  // then A is kept for the next columns
          if (!whole || j == part.j0) a = o_.rows(step, i, i_end, a_space.data());
          const bool ends = j_end == part.j1 && i_end == part.i1;
          multiply(a, b, step, {i, i_end, j, j_end, whole},
                   ends ? o_.next(step, part) : NextBlock<T>());
        }
      }
      k0 += o_.kc;
    } while (k0 < o_.k);
  }

  void multiply(const RowsOfA<T>& a, const PanelsOfB<T>& b, const ProductStep& step,
                const Part& block, const NextBlock<T>& next) const {
    const Epilogue<T>& e = p_.epilogue;
    const ptrdiff_t rows_here = block.i1 - block.i0, most = std::min(mr_, a.height);
    const LikeTiles like(rows_here, most);
    const ptrdiff_t of_panel = like_height(rows_here, most);  // tiles of packed columns
    auto begin = [&](ptrdiff_t t) {
      return a.panel ? std::min(t * of_panel, rows_here) : like.begin(t);
    };
    const PackedA packed = !o_.packs_a ? PackedA::no : a.panel ? PackedA::columns : PackedA::rows;
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, step.k};
    GemmTile<T> tile{&segment,
                     1,
                     a.step,
                     b.step,
                     c,
                     0,
                     0,
                     p_.alpha,
                     step.first ? p_.beta : T(1),
                     nullptr,
                     nullptr,
                     Epilogue<T>().low,
                     Epilogue<T>().high,
                     packed};
    // Where B lies in memory, a step asks for its row two panels on, and so a whole panel's time
    // ahead: runs of 128 bytes at a distance are beyond every prefetcher, and 8 steps are shorter
    // than the way from L3. (Zen 4, 16 x 1760 x 1760: 31 GF/s with 8 steps, 65 with one panel, 109
    // with two; three and more are no better.)
    const ptrdiff_t ahead = 2 * nr_, width = ceil_div(block.j1 - block.j0, nr_) * nr_;
    // The last two ask for the first two of what follows: the next block of k, or of A. Tiles
    // below the first that ask again ask for nothing of their own, 8 steps on: 512 and 768 cubed
    // 145 and 164 GF/s, where they don't 173 and 174 (Granite Rapids; on a Zen 4 asking again won).
    const bool asks = o_.panel_by_panel && width > ahead;
    const size_t down = block.whole_a ? size_t(step.k) * size_t(b.step) : 0;  // any stride
    const ptrdiff_t on = ptrdiff_t(down + size_t(ahead - width));
    // Rows of A that lie in memory ask for those of the next tile while they pass the first panel.
    const bool asks_a = !o_.packs_a && a.step == 1;
    ptrdiff_t tiles = 0;
    if (step.last) tile.low = e.low, tile.high = e.high;
    const T* bias = step.last ? e.bias : nullptr;
    auto run = [&](ptrdiff_t t, ptrdiff_t j) {
      const ptrdiff_t above = begin(t), i = block.i0 + above;
      tile.m = int(begin(t + 1) - above);
      segment.b = b.data + (j - block.j0) / nr_ * b.panel;
      tile.ahead = next.ahead(tiles++, step.k * b.step, segment.b);
      if (asks && (t == 0 || !b.stays)) tile.ahead = j + ahead < block.j1 ? ahead : on;
      tile.a_ahead = asks_a && j == block.j0 && t + 1 < like.count ? tile.m * a.row : 0;
      tile.n = int(std::min(nr_, block.j1 - j));
      if (bias && e.bias_axis == BiasAxis::column) tile.bias_n = bias + j;
      if (bias && e.bias_axis == BiasAxis::row) tile.bias_m = bias + i;
      const T* first_row = a.data + (a.panel ? t * a.panel : above * a.row);
      for (int r = 0; r < tile.m; ++r) {
        rows[r] = first_row + r * a.row;
        c[r] = p_.c.data + (i + r) * p_.c.row + j;
      }
      kernel_.run(tile);
    };
    // A panel of B that lies in memory is read once; one that is packed lies in L2, and the rows of
    // A stay in L1 meanwhile.
    if (o_.panel_by_panel) {
      for (ptrdiff_t j = block.j0; j < block.j1; j += nr_)
        for (ptrdiff_t t = 0; t < like.count; ++t) run(t, j);
    } else {
      for (ptrdiff_t t = 0; t < like.count; ++t)
        for (ptrdiff_t j = block.j0; j < block.j1; j += nr_) run(t, j);
    }
    if (!step.last || e.activation == nullptr) return;
    for (ptrdiff_t i = block.i0; i < block.i1; ++i) {
      T* row = p_.c.data + i * p_.c.row + block.j0;
      e.activation(row, row, block.j1 - block.j0, e.parameter);
    }
  }

  const Operands o_;
  const decltype(Operands::problem) p_;
  const GemmKernel& kernel_;
  const ptrdiff_t nr_, mr_;
};

// The problem whose C is the transpose of p's.
template <class Problem>
Problem transposed(const Problem& p) {
  Problem t = p;
  t.m = p.n, t.n = p.m;
  t.a = {p.b.data, p.b.col, p.b.row, p.b.batch};
  t.b = {p.a.data, p.a.col, p.a.row, p.a.batch};
  t.c = {p.c.data, p.c.col, p.c.row, p.c.batch};
  if (p.epilogue.bias_axis == BiasAxis::row) t.epilogue.bias_axis = BiasAxis::column;
  if (p.epilogue.bias_axis == BiasAxis::column) t.epilogue.bias_axis = BiasAxis::row;
  return t;
}

// one(i) for every product of a batch: small ones side by side, large ones by all threads each.
template <class Problem, class F>
void over_batch(const Problem& p, F&& one) {
  const double flops = 2.0 * double(p.m) * double(p.n) * double(p.k);
  const bool inside = flops > 5e7 && p.batch < 4 * ptrdiff_t(threads_here());
  if (p.batch > 1 && !inside && flops * double(p.batch) > kSerialFlops)
    return parallel_for(p.batch, one);
  for (ptrdiff_t i = 0; i < p.batch; ++i) one(i);
}

}  // namespace striate
