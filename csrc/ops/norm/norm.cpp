// SPDX-License-Identifier: Apache-2.0
#include "ops/norm/norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "ops/layout/layout.h"
#include "ops/norm/columns.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define BATCH_NORM(name, T, isa, pass) STRIATE_KERNEL(norm, name, T, isa, int(Norm::pass))
#define LRN BATCH_NORM
#include "ops/norm/kernels.inc"
#undef BATCH_NORM
#undef LRN
};

constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least

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
  apply(grid, batch_norm_kernel<T>(Norm::batch_norm_fwd), args);
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
  reduce<T>(grid, batch_norm_kernel<T>(Norm::batch_norm_sums), args,
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
  apply(grid, batch_norm_kernel<T>(Norm::batch_norm_bwd), args);
}

template <class T>
void run_lrn(Norm pass, const T* dy, const T* x, const Lrn& lrn, const Operand& like, T* y) {
  auto* kernel = kernels.best(dtype_of<T>, int(pass)).template as<LrnFn<T>>();
  const ptrdiff_t c = like.shape[1], rows = like.size() / c;
  const ptrdiff_t size = std::min(lrn.size, 2 * c);  // a window of more holds no more channels
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    FlushDenormals flush;
    Workspace<T> scratch(size_t(dy ? lrn_scratch(c) : 0));
    kernel({x + begin * c, dy ? dy + begin * c : nullptr, end - begin, c, size,
            T(lrn.alpha / double(lrn.size)), T(lrn.beta), T(lrn.k), scratch.data(), y + begin * c});
  };
  if (rows * c <= kGrain) return run(0, rows);
  parallel_ranges(rows, kGrain / 2 / c + 1, 1, run);
}

}  // namespace

template <class T>
BatchNormFn<T>* batch_norm_kernel(Norm pass) {
  return kernels.best(dtype_of<T>, int(pass)).template as<BatchNormFn<T>>();
}
template BatchNormFn<float>* batch_norm_kernel<float>(Norm);
template BatchNormFn<double>* batch_norm_kernel<double>(Norm);

Operand as_image(const char* op, const char* argument, Operand x) {
  if (x.rank < 2 || x.rank > 4)
    fail(op, argument, "(N, C), (N, C, L) or (N, C, H, W)", "shape " + x.text());
  for (; x.rank < 4; ++x.rank) x.shape[x.rank] = x.stride[x.rank] = 1;
  return x;
}

void check_groups(const char* op, ptrdiff_t groups, const Operand& x) {
  if (groups < 1 || x.shape[1] % groups != 0)
    fail(op, "groups", "a divisor of the " + std::to_string(x.shape[1]) + " channels of x",
         std::to_string(groups));
}

void check_batch(const Operand& x) {
  if (x.shape[0] * x.shape[2] * x.shape[3] == 1)
    fail("batch_norm", "x", "more than one value a channel in training",
         "1 value in each of " + std::to_string(x.shape[1]));
}

void batch_norm_train(const Operand& x, const Channels& channels, const Running& running,
                      double eps, const Operand& y) {
  check_batch(x);
  if (x.size() == 0) {
    for (void* made : {channels.mean, channels.invstd}) fill_nan(x.dtype, made, x.shape[1]);
    return;
  }
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
  if (x.size() == 0) {  // sums of nothing, whatever the statistics of nothing are
    for (void* sum : {dweight, dbias})
      if (sum) std::memset(sum, 0, size_t(x.shape[1]) * item_size(x.dtype));
    return;
  }
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
