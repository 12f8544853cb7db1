// SPDX-License-Identifier: Apache-2.0
// Each image is a matrix [H W, C] for the kernels of batch norm: statistics by channel, which a
// group joins in double, then one pass that has every channel's scale. An image that fits L2 comes
// from memory once. Images are shared between threads where there are enough of them, else their
// blocks.
#include <cmath>

#include "ops/layout/layout.h"
#include "ops/norm/columns.h"

namespace striate {
namespace {

// A problem's sizes: N images of M pixels, C channels in G groups.
struct Groups {
  ptrdiff_t images, pixels, channels, groups;

  Groups(const Operand& x, ptrdiff_t g)
      : images(x.shape[0]), pixels(x.shape[2] * x.shape[3]), channels(x.shape[1]), groups(g) {}
  ptrdiff_t each() const { return channels / groups; }  // channels of a group
  ptrdiff_t image() const { return pixels * channels; }

  template <class F>
  void for_images(F&& f) const {
    if (images >= num_threads() && images * image() > 2 * kColumnsGrain)
      return parallel_for(images, f);
    FlushDenormals flush;
    for (ptrdiff_t n = 0; n < images; ++n) f(n);
  }
};

struct Spread {
  double mean, var;
};

// Mean and variance of a group, from its channels' means and squares, of equal counts.
Spread join(const double* mean, const double* squares, const Groups& g) {
  double total = 0, off = 0, within = 0;
  for (ptrdiff_t c = 0; c < g.each(); ++c) total += mean[c] - mean[0];
  const double centre = mean[0] + total / double(g.each());
  for (ptrdiff_t c = 0; c < g.each(); ++c) {
    within += squares[c];
    off += (mean[c] - centre) * (mean[c] - centre);
  }
  return {centre, (within / double(g.pixels) + off) / double(g.each())};
}

template <class T>
void forward(const Groups& g, const T* x, const Channels& channels, double eps, T* var, T* y) {
  const T *weight = static_cast<const T*>(channels.weight),
          *bias = static_cast<const T*>(channels.bias);
  g.for_images([&](ptrdiff_t n) {
    const Grid grid(g.channels, g.pixels);
    Workspace<double> mean(size_t(g.channels)), squares(size_t(g.channels));
    statistics(grid, x + n * g.image(), mean.data(), squares.data());
    Wide<T> centre(grid), scale(grid), shift(grid);
    for (ptrdiff_t k = 0; k < g.groups; ++k) {
      const ptrdiff_t first = k * g.each(), at = n * g.groups + k;
      const Spread spread = join(mean.data() + first, squares.data() + first, g);
      const T invstd = T(1 / std::sqrt(spread.var + eps));
      static_cast<T*>(channels.mean)[at] = T(spread.mean);
      static_cast<T*>(channels.invstd)[at] = invstd;
      if (var) var[at] = T(spread.var);
      for (ptrdiff_t c = first; c < first + g.each(); ++c) {
        centre[c] = T(spread.mean);
        scale[c] = weight ? invstd * weight[c] : invstd;
        shift[c] = bias ? bias[c] : T(0);
      }
    }
    BatchNormArgs<T> args{};
    args.x = x + n * g.image(), args.y = y + n * g.image();
    args.mean = centre.repeated(), args.scale = scale.repeated(), args.shift = shift.repeated();
    apply(grid, batch_norm_kernel<T>(Norm::batch_norm_fwd), args);
  });
}

// dx of an image, and its sums of dy and of dy (x - mean) by channel in `sum` and `sum_x`.
template <class T>
void backward_image(const Groups& g, ptrdiff_t n, const T* dy, const T* x, const Channels& channels,
                    T* dx, double* sum, double* sum_x) {
  const T *weight = static_cast<const T*>(channels.weight),
          *means = static_cast<const T*>(channels.mean) + n * g.groups,
          *invstds = static_cast<const T*>(channels.invstd) + n * g.groups;
  const Grid grid(g.channels, g.pixels);
  Wide<T> mean(grid), scale(grid), slope(grid), shift(grid);
  for (ptrdiff_t c = 0; c < g.channels; ++c) {
    mean[c] = means[c / g.each()];
    sum[c] = sum_x[c] = 0;
  }
  BatchNormArgs<T> args{};
  args.x = x + n * g.image(), args.dy = dy + n * g.image(), args.y = dx + n * g.image();
  args.mean = mean.repeated();
  reduce<T>(grid, batch_norm_kernel<T>(Norm::batch_norm_sums), args,
            [&](const T* a, const T* b, ptrdiff_t) {
              for (ptrdiff_t c = 0; c < g.channels; ++c) {
                sum[c] += double(a[c]);
                sum_x[c] += double(b[c]);
              }
            });
  const double count = double(g.pixels * g.each());
  for (ptrdiff_t k = 0; k < g.groups; ++k) {
    const double invstd = double(invstds[k]);
    double total = 0, total_x = 0;
    for (ptrdiff_t c = k * g.each(); c < (k + 1) * g.each(); ++c) {
      total += sum[c] * (weight ? double(weight[c]) : 1);
      total_x += sum_x[c] * (weight ? double(weight[c]) : 1);
    }
    for (ptrdiff_t c = k * g.each(); c < (k + 1) * g.each(); ++c) {
      scale[c] = T(invstd * (weight ? double(weight[c]) : 1));
      slope[c] = T(-invstd * invstd * invstd * total_x / count);
      shift[c] = T(-invstd * total / count);
      sum_x[c] *= invstd;
    }
  }
  args.scale = scale.repeated(), args.slope = slope.repeated(), args.shift = shift.repeated();
  apply(grid, batch_norm_kernel<T>(Norm::batch_norm_bwd), args);
}

template <class T>
void backward(const Groups& g, const T* dy, const T* x, const Channels& channels, T* dx, T* dweight,
              T* dbias) {
  Workspace<double> sums(size_t(2 * g.images * g.channels));
  g.for_images([&](ptrdiff_t n) {
    double* own = sums.data() + 2 * n * g.channels;
    backward_image(g, n, dy, x, channels, dx, own, own + g.channels);
  });
  for (ptrdiff_t c = 0; c < g.channels; ++c) {
    double sum = 0, sum_x = 0;
    for (ptrdiff_t n = 0; n < g.images; ++n) {
      sum += sums[size_t(2 * n * g.channels + c)];
      sum_x += sums[size_t((2 * n + 1) * g.channels + c)];
    }
    dweight[c] = T(sum_x), dbias[c] = T(sum);
  }
}

}  // namespace

void group_norm(const Operand& x, ptrdiff_t groups, const Channels& channels, double eps, void* var,
                const Operand& y) {
  if (x.size() == 0) {
    for (void* made : {channels.mean, channels.invstd, var})
      if (made) fill_nan(x.dtype, made, x.shape[0] * groups);
    return;
  }
  ImageInput image(x);
  ImageOutput result(y);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    forward(Groups(x, groups), image.as<T>(), channels, eps, static_cast<T*>(var), result.as<T>());
  });
  result.finish();
}

void group_norm_backward(const Operand& dy, const Operand& x, ptrdiff_t groups,
                         const Channels& channels, const Operand& dx, void* dweight, void* dbias) {
  if (x.shape[1] == 0) return;
  const Groups g(x, groups);
  ImageInput grad(dy), image(x);
  ImageOutput result(dx);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    if (g.image() > 0)
      return backward(g, grad.as<T>(), image.as<T>(), channels, result.as<T>(),
                      static_cast<T*>(dweight), static_cast<T*>(dbias));
    for (ptrdiff_t c = 0; c < g.channels; ++c)
      static_cast<T*>(dweight)[c] = static_cast<T*>(dbias)[c] = T(0);
  });
  result.finish();
}

}  // namespace striate
