// SPDX-License-Identifier: Apache-2.0
// Few channels would leave vectors half empty, so the matrix [M, C] is read as [M / k, k C], k rows
// side by side, whose per-column operands repeat; the rows left over are one shorter row. Partial
// results of blocks and of the k columns of a channel are joined in double, in a fixed order.
#include "ops/norm/norm.h"

#include <cmath>
#include <vector>

#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define BATCH_NORM(name, T, isa, pass) STRIATE_KERNEL(norm, name, T, isa, int(Norm::pass))
#define LRN BATCH_NORM
#include "ops/norm/kernels.inc"
#undef BATCH_NORM
#undef LRN
};

constexpr ptrdiff_t kBlock = 1 << 15;  // elements of a block of statistics; two of them fit L2
constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least
constexpr ptrdiff_t kWidth = 256;      // columns that fewer channels are widened to

template <class T>
BatchNormFn<T>* kernel_of(Norm pass) {
  return kernels.best(dtype_of<T>, int(pass)).template as<BatchNormFn<T>>();
}

struct Grid {
  ptrdiff_t channels, rows;      // C, M
  ptrdiff_t side;                // k
  ptrdiff_t width, whole, tail;  // k C; rows of that width; elements left over
  ptrdiff_t block, blocks;       // rows of a block; blocks, the tail being one more

  Grid(const Operand& x) : channels(x.shape[1]), rows(x.shape[0] * x.shape[2] * x.shape[3]) {
    side = channels < kWidth / 2 ? kWidth / channels : 1;
    width = side * channels, whole = rows / side, tail = rows % side * channels;
    block = kBlock / width + 1;
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
  Wide(const Grid& grid) : grid_(grid), space_(size_t(grid.width)) {}
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

// kernel over all rows, per-column operands being repeated.
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
  if (grid.whole * grid.width <= 2 * kGrain)
    run(0, grid.whole, grid.width);
  else
    parallel_ranges(grid.whole, kGrain / grid.width + 1, 1,
                    [&](ptrdiff_t begin, ptrdiff_t end) { run(begin, end - begin, grid.width); });
  if (grid.tail > 0) run(grid.whole, 1, grid.tail);
}

// Mean and sum of squares about it, joined as in Chan, Golub and LeVeque, "Updating formulae and a
// pairwise algorithm for computing sample variances" (1979).
template <class T>
void statistics(const Grid& grid, const T* x, double* mean, double* squares) {
  double seen = 0;
  for (ptrdiff_t c = 0; c < grid.channels; ++c) mean[c] = squares[c] = 0;
  BatchNormArgs<T> args{};
  args.x = x;
  reduce<T>(grid, kernel_of<T>(Norm::batch_norm_stats), args,
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

template <class T>
void normalise(const Grid& grid, const T* x, const Channels& channels, T* y) {
  const T *weight = static_cast<const T*>(channels.weight),
          *bias = static_cast<const T*>(channels.bias);
  const T *m = static_cast<const T*>(channels.mean), *s = static_cast<const T*>(channels.invstd);
  Wide<T> mean(grid), scale(grid), shift(grid);
  for (ptrdiff_t c = 0; c < grid.channels; ++c) {
    mean[c] = m[c];
    scale[c] = weight ? s[c] * weight[c] : s[c];
    shift[c] = bias ? bias[c] : T(0);
  }
  BatchNormArgs<T> args{};
  args.x = x, args.y = y;
  args.mean = mean.repeated(), args.scale = scale.repeated(), args.shift = shift.repeated();
  apply(grid, kernel_of<T>(Norm::batch_norm_fwd), args);
}

template <class T>
void move_towards(void* running, double momentum, ptrdiff_t c, double value) {
  if (running == nullptr) return;
  T& held = static_cast<T*>(running)[c];
  held = T((1 - momentum) * double(held) + momentum * value);
}

template <class T>
void backward(const Grid& grid, const T* dy, const T* x, const Channels& channels,
              Statistics statistics, T* dx, T* dweight, T* dbias) {
  const T* weight = static_cast<const T*>(channels.weight);
  const T *m = static_cast<const T*>(channels.mean), *s = static_cast<const T*>(channels.invstd);
  Wide<T> mean(grid), scale(grid), slope(grid), shift(grid);
  for (ptrdiff_t c = 0; c < grid.channels; ++c) mean[c] = m[c];
  BatchNormArgs<T> args{};
  args.x = x, args.dy = dy, args.mean = mean.repeated(), args.y = dx;
  std::vector<double> sum(size_t(grid.channels), 0), sum_x(size_t(grid.channels), 0);
  reduce<T>(grid, kernel_of<T>(Norm::batch_norm_sums), args,
            [&](const T* a, const T* b, ptrdiff_t) {
              for (size_t c = 0; c < sum.size(); ++c) sum[c] += double(a[c]), sum_x[c] += b[c];
            });
  const double per_row = statistics == Statistics::batch ? 1.0 / double(grid.rows) : 0.0;
  for (ptrdiff_t c = 0; c < grid.channels; ++c) {
    double invstd = double(s[c]), whole = weight ? invstd * double(weight[c]) : invstd;
    scale[c] = T(whole);
    slope[c] = T(-whole * invstd * invstd * sum_x[size_t(c)] * per_row);
    shift[c] = T(-whole * sum[size_t(c)] * per_row);
    dweight[c] = T(sum_x[size_t(c)] * invstd), dbias[c] = T(sum[size_t(c)]);
  }
  args.scale = scale.repeated(), args.slope = slope.repeated(), args.shift = shift.repeated();
  apply(grid, kernel_of<T>(Norm::batch_norm_bwd), args);
}

template <class T>
void run_lrn(Norm pass, const T* dy, const T* x, const Lrn& lrn, const Operand& like, T* y) {
  auto* kernel = kernels.best(dtype_of<T>, int(pass)).template as<LrnFn<T>>();
  const ptrdiff_t c = like.shape[1], rows = like.size() / c;
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    FlushDenormals flush;
    Workspace<T> scratch(size_t(dy ? lrn_scratch(c) : 0));
    kernel({x + begin * c, dy ? dy + begin * c : nullptr, end - begin, c, lrn.size,
            T(lrn.alpha / double(lrn.size)), T(lrn.beta), T(lrn.k), scratch.data(), y + begin * c});
  };
  if (rows * c <= kGrain) return run(0, rows);
  parallel_ranges(rows, kGrain / 2 / c + 1, 1, run);
}

}  // namespace

void batch_norm_train(const Operand& x, const Channels& channels, const Running& running,
                      double eps, const Operand& y) {
  if (x.size() == 0) return;
  const Grid grid(x);
  ImageInput image(x);
  ImageOutput result(y);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Workspace<double> mean(size_t(grid.channels)), squares(size_t(grid.channels));
    statistics(grid, image.as<T>(), mean.data(), squares.data());
    for (ptrdiff_t c = 0; c < grid.channels; ++c) {
      double m = mean[size_t(c)], square = squares[size_t(c)];
      static_cast<T*>(channels.mean)[c] = T(m);
      static_cast<T*>(channels.invstd)[c] = T(1 / std::sqrt(square / double(grid.rows) + eps));
      move_towards<T>(running.mean, running.momentum, c, m);
      move_towards<T>(running.var, running.momentum, c, square / double(grid.rows - 1));
    }
    normalise(grid, image.as<T>(), channels, result.as<T>());
  });
  result.finish();
}

void batch_norm_infer(const Operand& x, const Channels& channels, const Operand& y) {
  if (x.size() == 0) return;
  const Grid grid(x);
  ImageInput image(x);
  ImageOutput result(y);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    normalise(grid, image.as<T>(), channels, result.as<T>());
  });
  result.finish();
}

void batch_norm_backward(const Operand& dy, const Operand& x, const Channels& channels,
                         Statistics statistics, const Operand& dx, void* dweight, void* dbias) {
  if (x.shape[1] == 0) return;
  const Grid grid(x);
  ImageInput grad(dy), image(x);
  ImageOutput result(dx);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    backward(grid, grad.as<T>(), image.as<T>(), channels, statistics, result.as<T>(),
             static_cast<T*>(dweight), static_cast<T*>(dbias));
  });
  result.finish();
}

void local_response_norm(const Operand& x, const Lrn& lrn, const Operand& y) {
  if (x.size() == 0) return;
  ImageInput image(x);
  ImageOutput result(y);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_lrn<T>(Norm::lrn_fwd, nullptr, image.as<T>(), lrn, x, result.as<T>());
  });
  result.finish();
}

void local_response_norm_backward(const Operand& dy, const Operand& x, const Lrn& lrn,
                                  const Operand& dx) {
  if (x.size() == 0) return;
  ImageInput grad(dy), image(x);
  ImageOutput result(dx);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_lrn<T>(Norm::lrn_bwd, grad.as<T>(), image.as<T>(), lrn, x, result.as<T>());
  });
  result.finish();
}

}  // namespace striate
