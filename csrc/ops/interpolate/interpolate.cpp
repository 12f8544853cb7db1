// SPDX-License-Identifier: Apache-2.0
#include "ops/interpolate/interpolate.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(interpolate, name, T, isa, 0)
#include "ops/interpolate/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least

ResampleAxis sized(ptrdiff_t in, ptrdiff_t out, size_t taps) {
  ResampleAxis axis;
  axis.in = in, axis.out = out;
  axis.begin.reserve(size_t(out) + 1), axis.begin.push_back(0);
  axis.at.reserve(size_t(out) * taps), axis.weight.reserve(size_t(out) * taps);
  return axis;
}

// Input pixels an output pixel.
template <class T>
T pitch(ptrdiff_t in, ptrdiff_t out, double scale, bool align_corners) {
  if (align_corners) return out > 1 ? T(in - 1) / T(out - 1) : T(0);
  return scale > 0 ? T(scale) : T(in) / T(out);
}

// Keys' cubic convolution kernel (1981) with a = -3/4, at distances 1 + t, t, 1 - t and 2 - t.
void cubic_weights(double t, double* w) {
  constexpr double a = -0.75;
  auto near = [](double d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
  auto far = [](double d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
  w[0] = far(t + 1), w[1] = near(t), w[2] = near(1 - t), w[3] = far(2 - t);
}

// floor(place), at most the last pixel; some places are past all integers.
template <class T>
ptrdiff_t pixel_at(T place, ptrdiff_t in) {
  constexpr T kPast = T(ptrdiff_t(1) << 62);
  return place < kPast ? std::min(ptrdiff_t(std::floor(place)), in - 1) : in - 1;
}

ResampleAxis nearest_axis(bool exact, ptrdiff_t in, ptrdiff_t out, double scale) {
  ResampleAxis axis = sized(in, out, 1);
  // In float, as PyTorch: where o * step falls on a whole number, rounding decides.
  const float step = pitch<float>(in, out, scale, false);
  for (ptrdiff_t o = 0; o < out; ++o) {
    ptrdiff_t from = pixel_at((float(o) + (exact ? 0.5f : 0.0f)) * step, in);
    // As PyTorch's gradient, whatever the scale: a size that stays is a copy, a double one pairs.
    if (!exact && out == in) from = o;
    if (!exact && out == 2 * in) from = o / 2;
    axis.add(std::min(from, in - 1), 1);
    axis.end_row();
  }
  return axis;
}

// An axis as a tap list of offsets into memory.
template <class T>
std::vector<ResampleTap<T>> taps_of(const ResampleAxis& axis, ptrdiff_t stride) {
  std::vector<ResampleTap<T>> taps(axis.at.size());
  for (size_t i = 0; i < taps.size(); ++i) taps[i] = {axis.at[i] * stride, T(axis.weight[i])};
  return taps;
}

}  // namespace

Interpolation interpolation_by_name(const char* op, const char* name) {
  constexpr const char* names[] = {"nearest", "nearest-exact", "linear", "cubic"};
  for (int i = 0; i < 4; ++i)
    if (std::strcmp(name, names[i]) == 0) return Interpolation(i);
  fail(op, "mode", "nearest, nearest-exact, linear or cubic", "\"" + std::string(name) + "\"");
}

ResampleAxis interpolation_axis(Interpolation mode, ptrdiff_t in, ptrdiff_t out, double scale,
                                bool align_corners) {
  if (mode == Interpolation::nearest || mode == Interpolation::nearest_exact)
    return nearest_axis(mode == Interpolation::nearest_exact, in, out, scale);
  const bool cubic = mode == Interpolation::cubic;
  ResampleAxis axis = sized(in, out, cubic ? 4 : 2);
  const double step = pitch<double>(in, out, scale, align_corners);
  for (ptrdiff_t o = 0; o < out; ++o) {
    double at = align_corners ? step * double(o) : step * (double(o) + 0.5) - 0.5;
    if (!cubic && in == out) at = double(o);  // as PyTorch, whatever the scale
    if (!cubic) at = std::max(at, 0.0);
    const ptrdiff_t low = pixel_at(at, in);
    double t = std::min(std::max(at - double(low), 0.0), 1.0), w[4];
    if (cubic) {
      cubic_weights(t, w);
      for (int i = 0; i < 4; ++i)
        axis.add(std::min(std::max<ptrdiff_t>(low - 1 + i, 0), in - 1), w[i]);
    } else {
      axis.add(low, 1 - t);
      axis.add(std::min(low + 1, in - 1), t);
    }
    axis.end_row();
  }
  return axis;
}

ResampleAxis padding_axis(Padding mode, ptrdiff_t in, ptrdiff_t before, ptrdiff_t after) {
  ResampleAxis axis = sized(in, in + before + after, 1);
  // Circular padding goes round what cropping leaves.
  const ptrdiff_t low = std::max<ptrdiff_t>(-before, 0);
  const ptrdiff_t round = in - low - std::max<ptrdiff_t>(-after, 0);
  for (ptrdiff_t o = 0; o < axis.out; ++o) {
    ptrdiff_t i = o - before;
    switch (mode) {
      case Padding::reflect:
        i = i < 0 ? -i : i >= in ? 2 * (in - 1) - i : i;
        break;
      case Padding::replicate:
        i = std::min(std::max<ptrdiff_t>(i, 0), in - 1);
        break;
      case Padding::circular:
        i -= low;
        i = low + (i < 0 ? i + round : i >= round ? i - round : i);
        break;
    }
    axis.add(i, 1);
    axis.end_row();
  }
  return axis;
}

ResampleAxis identity_axis(ptrdiff_t in) {
  ResampleAxis axis = sized(in, in, 1);
  for (ptrdiff_t o = 0; o < in; ++o) axis.add(o, 1), axis.end_row();
  return axis;
}

ResampleAxis transposed(const ResampleAxis& axis) {
  ResampleAxis t;
  t.in = axis.out, t.out = axis.in;
  t.begin.assign(size_t(t.out) + 1, 0);
  for (ptrdiff_t i : axis.at) ++t.begin[size_t(i) + 1];
  for (size_t i = 1; i < t.begin.size(); ++i) t.begin[i] += t.begin[i - 1];
  t.at.resize(axis.at.size()), t.weight.resize(axis.at.size());
  std::vector<ptrdiff_t> next = t.begin;
  for (ptrdiff_t o = 0; o < axis.out; ++o)
    for (ptrdiff_t k = axis.begin[size_t(o)]; k < axis.begin[size_t(o) + 1]; ++k) {
      size_t to = size_t(next[size_t(axis.at[size_t(k)])]++);
      t.at[to] = o, t.weight[to] = axis.weight[size_t(k)];
    }
  return t;
}

void resample(const Operand& x, const ResampleAxis* axes, const Operand& y) {
  if (y.size() == 0) return;
  ImageInput image(x);
  ImageOutput result(y);
  const ResampleAxis &depth = axes[0], &height = axes[1], &width = axes[2];
  const ptrdiff_t n = x.shape[0], c = x.shape[1];
  const ptrdiff_t in_row = width.in * c, out_row = width.out * c;
  const ptrdiff_t in_plane = height.in * in_row, rows = depth.out * height.out;
  dispatch(y.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(y.dtype, 0).template as<ResampleFn<T>>();
    const auto planes = taps_of<T>(depth, in_plane), lines = taps_of<T>(height, in_row),
               cols = taps_of<T>(width, c);
    auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
      FlushDenormals flush;
      std::vector<ResampleTap<T>> mixed;
      for (ptrdiff_t row = begin; row < end; ++row) {
        const size_t d = size_t(row % rows / height.out), p = size_t(row % height.out);
        mixed.clear();
        for (ptrdiff_t i = depth.begin[d]; i < depth.begin[d + 1]; ++i)
          for (ptrdiff_t j = height.begin[p]; j < height.begin[p + 1]; ++j) {
            const ResampleTap<T>&plane = planes[size_t(i)], &line = lines[size_t(j)];
            mixed.push_back({plane.at + line.at, plane.weight * line.weight});
          }
        kernel({image.as<T>() + row / rows * depth.in * in_plane, mixed.data(),
                ptrdiff_t(mixed.size()), cols.data(), width.begin.data(), width.out, c,
                result.as<T>() + row * out_row, c});
      }
    };
    if (n * rows * out_row <= 2 * kGrain) return run(0, n * rows);
    parallel_ranges(n * rows, kGrain / out_row + 1, 1, run);
  });
  result.finish();
}

}  // namespace striate
