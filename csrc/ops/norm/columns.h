// SPDX-License-Identifier: Apache-2.0
// What the drivers of batch and group norm share: passes over a matrix [M, C] by the kernels of
// batch norm, column by column.
//
// Few channels would leave vectors half empty, so the matrix [M, C] is read as [M / k, k C], k rows
// side by side, whose per-column operands repeat; the rows left over are one shorter row. Partial
// results of blocks and of the k columns of a channel are joined in double, in a fixed order.
#pragma once
#include "core/memory.h"
#include "core/threads.h"
#include "ops/norm/norm.h"

namespace striate {

// The preferred kernel on this machine.
template <class T>
BatchNormFn<T>* batch_norm_kernel(Norm pass);

constexpr ptrdiff_t kColumnsBlock = 1 << 15;  // elements of a block of statistics; two fit L2
constexpr ptrdiff_t kColumnsGrain = 1 << 14;  // elements a thread should have at least
constexpr ptrdiff_t kColumnsWidth = 256;      // columns that fewer channels are widened to

struct Grid {
  ptrdiff_t channels, rows;      // C, M
  ptrdiff_t side;                // k
  ptrdiff_t width, whole, tail;  // k C; rows of that width; elements left over
  ptrdiff_t block, blocks;       // rows of a block; blocks, the tail being one more

  explicit Grid(const Operand& x) : Grid(x.shape[1], x.shape[0] * x.shape[2] * x.shape[3]) {}
  Grid(ptrdiff_t c, ptrdiff_t m) : channels(c), rows(m) {
    side = channels < kColumnsWidth / 2 ? kColumnsWidth / channels : 1;
    width = side * channels, whole = rows / side, tail = rows % side * channels;
    block = kColumnsBlock / width + 1;
    blocks = (whole + block - 1) / block + (tail > 0);
  }
  ptrdiff_t rows_of(ptrdiff_t b) const {
    ptrdiff_t left = whole - b * block;
    return left <= 0 ? 1 : left < block ? left : block;
  }
  ptrdiff_t width_of(ptrdiff_t b) const { return b * block < whole ? width : tail; }

  template <class F>
  void for_blocks(F&& f) const {
    auto run = [&](ptrdiff_t b) {
      FlushDenormals flush;
      f(b);
    };
    if (blocks > 1) return parallel_for(blocks, run);
    for (ptrdiff_t b = 0; b < blocks; ++b) run(b);
  }
};

// A per-channel vector repeated over the width of the grid.
template <class T>
class Wide {
 public:
  explicit Wide(const Grid& grid) : grid_(grid), space_(size_t(grid.width)) {}
  T& operator[](ptrdiff_t c) { return space_[size_t(c)]; }
  const T* repeated() {
    for (ptrdiff_t j = grid_.channels; j < grid_.width; ++j)
      space_[size_t(j)] = space_[size_t(j - grid_.channels)];
    return space_.data();
  }

 private:
  const Grid& grid_;
  Workspace<T> space_;
};

// out and out2 of every block by a kernel, then join(block's values, values2, rows) for each of the
// k columns of every channel.
template <class T, class F>
void reduce(const Grid& grid, BatchNormFn<T>* kernel, BatchNormArgs<T> args, F&& join) {
  Workspace<T> space(size_t(2 * grid.width * grid.blocks));
  grid.for_blocks([&](ptrdiff_t b) {
    BatchNormArgs<T> block = args;
    ptrdiff_t at =
        b * grid.block < grid.whole ? b * grid.block * grid.width : grid.whole * grid.width;
    block.x += at;
    if (block.dy) block.dy += at;
    block.rows = grid.rows_of(b), block.n = grid.width_of(b);
    block.out = &space[size_t(2 * b * grid.width)], block.out2 = block.out + grid.width;
    kernel(block);
  });
  for (ptrdiff_t b = 0; b < grid.blocks; ++b)
    for (ptrdiff_t j = 0; j < grid.width_of(b); j += grid.channels) {
      const T* values = space.data() + 2 * b * grid.width + j;
      join(values, values + grid.width, grid.rows_of(b));
    }
}

// kernel over all rows, per-column operands being repeated. From the end: a sum over the rows has
// left it in cache.
template <class T>
void apply(const Grid& grid, BatchNormFn<T>* kernel, const BatchNormArgs<T>& args) {
  auto run = [&](ptrdiff_t begin, ptrdiff_t rows, ptrdiff_t n) {
    BatchNormArgs<T> part = args;
    part.x += begin * grid.width, part.y += begin * grid.width;
    if (part.dy) part.dy += begin * grid.width;
    part.rows = rows, part.n = n;
    kernel(part);
  };
  FlushDenormals flush;
  if (grid.tail > 0) run(grid.whole, 1, grid.tail);
  if (grid.whole * grid.width <= 2 * kColumnsGrain)
    run(0, grid.whole, grid.width);
  else
    parallel_ranges(
        grid.whole, kColumnsGrain / grid.width + 1, 1,
        [&](ptrdiff_t begin, ptrdiff_t end) { run(grid.whole - end, end - begin, grid.width); });
}

// Mean and sum of squares about it, joined as in Chan, Golub and LeVeque, "Updating formulae and a
// pairwise algorithm for computing sample variances" (1979).
template <class T>
void statistics(const Grid& grid, const T* x, double* mean, double* squares) {
  double seen = 0;
  for (ptrdiff_t c = 0; c < grid.channels; ++c) mean[c] = squares[c] = 0;
  BatchNormArgs<T> args{};
  args.x = x;
  reduce<T>(grid, batch_norm_kernel<T>(Norm::batch_norm_stats), args,
            [&](const T* m, const T* s, ptrdiff_t rows) {
              double share = double(rows) / (seen + double(rows)), weight = seen * share;
              for (ptrdiff_t c = 0; c < grid.channels; ++c) {
                double off = double(m[c]) - mean[c];
                mean[c] += off * share;
                squares[c] += double(s[c]) + off * off * weight;
              }
              seen += double(rows);
            });
}

}  // namespace striate
