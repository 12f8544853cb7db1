// SPDX-License-Identifier: Apache-2.0
#include "ops/pool2d/pool2d.h"

#include <algorithm>
#include <cstring>

#include "core/blocks.h"
#include "core/indices.h"
#include "core/threads.h"
#include "ops/layout/layout.h"
#include "ops/pool2d/scatter.h"

namespace striate {
namespace {

const Table<Kernel> forward_kernels{
#define FORWARD(name, T, isa, kind) STRIATE_KERNEL(pool2d, name, T, isa, int(Pool::kind))
#define BACKWARD(name, T, isa, kind)
#include "ops/pool2d/kernels.inc"
#undef FORWARD
#undef BACKWARD
};
const Table<Kernel> backward_kernels{
#define FORWARD(name, T, isa, kind)
#define BACKWARD(name, T, isa, kind) STRIATE_KERNEL(pool2d_bwd, name, T, isa, int(Pool::kind))
#include "ops/pool2d/kernels.inc"
#undef FORWARD
#undef BACKWARD
};

constexpr ptrdiff_t kGrain = 1 << 14;    // taps read that are worth a thread
constexpr ptrdiff_t kLongest = 1 << 26;  // of them a part: some 10 ms
constexpr ptrdiff_t kFewRows = 16;       // rows of work below which channels are cut as well,
constexpr ptrdiff_t kChannelBlock = 64;  // into multiples of this many

// body(row, c, channels) for all rows of work; a row reads `taps` elements.
template <class F>
void for_rows(ptrdiff_t rows, ptrdiff_t channels, ptrdiff_t taps, F&& body) {
  const ptrdiff_t wanted = ceil_div(kFewRows, std::max<ptrdiff_t>(rows, 1));  // blocks
  const ptrdiff_t block =
      wanted > 1 ? ceil_div(ceil_div(channels, wanted), kChannelBlock) * kChannelBlock : channels;
  const ptrdiff_t blocks = ceil_div(channels, block);
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    FlushDenormals flush;
    for (ptrdiff_t i = begin; i < end; ++i) {
      ptrdiff_t c = i % blocks * block;
      body(i / blocks, c, std::min(block, channels - c));
    }
  };
  if (rows * taps <= 2 * kGrain) return run(0, rows * blocks);
  const ptrdiff_t each = taps / blocks + 1;
  parallel_ranges(rows * blocks, kGrain / each + 1, 1, run, kLongest / each + 1);
}

// Whether a dense channels-last result of n elements goes past the caches: no cache holds it, and
// its pixels are whole lines. The gradient of a 2x2 maximum, Emerald Rapids: 51 MB 13.9 and 7.0 ms,
// 26 MB 1.0 times the time, 19 MB 1.1 times.
template <class T>
bool past_caches(const T* out, ptrdiff_t n, ptrdiff_t channels) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  return n * ptrdiff_t(sizeof(T)) >= 2 * kPastCachesBytes && channels % line == 0 &&
         uintptr_t(out) % 64 == 0;
}

template <class T>
std::vector<T> divisors(const PoolAxis& axis, const PoolDivisor& divisor, bool rows) {
  std::vector<T> d(axis.windows.size());
  for (size_t i = 0; i < d.size(); ++i) {
    const PoolWindow& w = axis.windows[i];
    switch (divisor.kind) {
      case PoolDivisor::number:
        d[i] = T(rows ? divisor.value : 1);
        break;
      case PoolDivisor::inside:
        d[i] = T(w.count);
        break;
      case PoolDivisor::padded:
        d[i] = T(w.padded);
        break;
      case PoolDivisor::share:
        d[i] = T(w.padded) / T(axis.kernel);
        break;
    }
  }
  return d;
}

// 1 / divisor of every output.
template <class T>
std::vector<T> scales(const PoolShape& shape, const PoolDivisor& divisor) {
  const std::vector<T> cols = divisors<T>(shape.w, divisor, false);
  std::vector<T> all;
  for (const T row : divisors<T>(shape.h, divisor, true))
    for (const T col : cols) all.push_back(T(1) / (row * col));
  return all;
}

// For every input of the axis, the outputs that hold it: hits[begin[i] … begin[i + 1]).
struct Hits {
  std::vector<int> begin;
  std::vector<PoolHit> hits;

  explicit Hits(const PoolAxis& axis) : begin(size_t(axis.in) + 1, 0) {
    each(axis, [&](ptrdiff_t in, PoolHit) { ++begin[size_t(in) + 1]; });
    for (size_t i = 1; i < begin.size(); ++i) begin[i] += begin[i - 1];
    hits.resize(size_t(begin.back()));
    std::vector<int> next = begin;
    each(axis, [&](ptrdiff_t in, PoolHit hit) { hits[size_t(next[size_t(in)]++)] = hit; });
  }
  bool apart() const {  // an input is held by one output at most
    for (size_t i = 1; i < begin.size(); ++i)
      if (begin[i] - begin[i - 1] > 1) return false;
    return true;
  }
  template <class F>
  static void each(const PoolAxis& axis, F&& f) {
    for (size_t o = 0; o < axis.windows.size(); ++o) {
      const PoolWindow& w = axis.windows[o];
      for (int i = 0; i < w.count; ++i) f(w.begin + i * axis.dilation, {int(o), w.tap + i});
    }
  }
};

// *index, which must be a place of a plane of `size`.
ptrdiff_t place_in(const char* op, const int64_t* index, ptrdiff_t size) {
  const int64_t place = read_once(index);
  if (place >= 0 && place < size) return place;
  throw std::out_of_range(std::string(op) + ": indices: expected 0 to " + std::to_string(size - 1) +
                          ", got " + std::to_string(place));
}

void check_size(const char* op, const char* argument, ptrdiff_t value, ptrdiff_t least) {
  if (value < least || value > (1 << 30))
    fail(op, argument, std::to_string(least) + " or more", std::to_string(value));
}

}  // namespace

PoolAxis pool_axis(const char* op, ptrdiff_t in, const PoolStep& step, bool ceil_mode) {
  check_size(op, "kernel_size", step.kernel, 1);
  check_size(op, "stride", step.stride, 1);
  check_size(op, "padding", step.padding, 0);
  check_size(op, "dilation", step.dilation, 1);
  check_size(op, "x: size of an image axis", in, 1);
  const ptrdiff_t span = (step.kernel - 1) * step.dilation + 1;
  if (step.padding > span / 2)
    fail(op, "padding", "at most half of the window, " + std::to_string(span / 2),
         std::to_string(step.padding));
  if (span > in + 2 * step.padding)
    fail(op, "kernel_size",
         "a window of at most " + std::to_string(in + 2 * step.padding) + ", the padded input",
         std::to_string(span));
  ptrdiff_t room = in + 2 * step.padding - span + (ceil_mode ? step.stride - 1 : 0);
  ptrdiff_t out = room / step.stride + 1;
  // The last window must begin inside the image or the padding before it.
  if (ceil_mode && (out - 1) * step.stride >= in + step.padding) --out;
  PoolAxis axis{in,
                out,
                step.dilation,
                int(step.kernel),
                std::vector<PoolWindow>(size_t(out)),
                int(step.stride),
                int(step.padding)};
  for (ptrdiff_t o = 0; o < out; ++o) {
    ptrdiff_t begin = o * step.stride - step.padding;
    ptrdiff_t skipped = begin < 0 ? (-begin + step.dilation - 1) / step.dilation : 0;
    ptrdiff_t inside = begin + skipped * step.dilation;
    ptrdiff_t count = inside < in ? (in - inside + step.dilation - 1) / step.dilation : 0;
    count = std::min(count, step.kernel - skipped);
    ptrdiff_t padded = std::min(begin + step.kernel, in + step.padding) - begin;
    axis.windows[size_t(o)] = {inside, int(skipped), int(std::max<ptrdiff_t>(count, 0)),
                               int(padded)};
  }
  return axis;
}

PoolAxis adaptive_pool_axis(const char* op, ptrdiff_t in, ptrdiff_t out) {
  check_size(op, "output_size", out, 0);
  check_size(op, "x: size of an image axis", in, 1);
  PoolAxis axis{in, out, 1, 1, std::vector<PoolWindow>(size_t(out)), 0, 0};
  for (ptrdiff_t o = 0; o < out; ++o) {
    ptrdiff_t begin = o * in / out, end = ((o + 1) * in + out - 1) / out;
    int count = int(end - begin);
    axis.windows[size_t(o)] = {begin, 0, count, count};
    axis.kernel = std::max(axis.kernel, count);
  }
  return axis;
}

void pool2d(Pool kind, const Operand& x, const PoolShape& shape, const PoolDivisor& divisor,
            const Operand& y, void* taps) {
  if (y.size() == 0) return;
  ImageInput image(x);
  ImageOutput result(y);
  const ptrdiff_t c = x.shape[1], h = shape.h.in, w = shape.w.in, p = shape.h.out, q = shape.w.out;
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = forward_kernels.best(x.dtype, int(kind)).template as<PoolFn<T>>();
    std::vector<T> rows = divisors<T>(shape.h, divisor, true);
    std::vector<T> cols = divisors<T>(shape.w, divisor, false);
    const bool past = past_caches(result.as<T>(), x.shape[0] * p * q * c, c);
    const bool far = x.size() * item_size(x.dtype) >= kPastCachesBytes;
    const ptrdiff_t work = q * c * shape.h.kernel * shape.w.kernel;
    for_rows(x.shape[0] * p, c, work, [&](ptrdiff_t row, ptrdiff_t c0, ptrdiff_t channels) {
      size_t i = size_t(row % p);
      ptrdiff_t at = row * q * c + c0;
      const PoolWindow& window = shape.h.windows[i];
      const ptrdiff_t down = row % p + 1 < p ? shape.h.windows[i + 1].begin - window.begin : 0;
      const bool asks = far && down > 0 && shape.h.dilation == 1;
      PoolArgs<T> args{image.as<T>() + row / p * h * w * c + c0,
                       w * c,
                       c,
                       window,
                       shape.w.windows.data(),
                       shape.h.dilation,
                       shape.w.dilation,
                       q,
                       channels,
                       rows[i],
                       cols.data(),
                       shape.w.kernel,
                       result.as<T>() + at,
                       c,
                       nullptr,
                       nullptr,
                       past,
                       down * w * c,
                       asks ? int(std::max<ptrdiff_t>(window.count - down, 0)) : window.count};
      if (taps && !shape.wide()) args.taps8 = static_cast<uint8_t*>(taps) + at;
      if (taps && shape.wide()) args.taps = static_cast<T*>(taps) + at;
      kernel(args);
    });
  });
  result.finish();
}

void pool2d_backward(Pool kind, const Operand& dy, const void* taps, const PoolShape& shape,
                     const PoolDivisor& divisor, const Operand& dx) {
  if (dx.size() == 0) return;
  ImageInput grad(dy);
  ImageOutput result(dx);
  const ptrdiff_t c = dx.shape[1], h = shape.h.in, w = shape.w.in, p = shape.h.out, q = shape.w.out;
  const Hits rows(shape.h), cols(shape.w);
  // Then whole vectors of channels need no scatter: LeNet's 16, 24 GB/s scattered and 34 (Zen 5).
  const bool apart = rows.apart() && cols.apart() && shape.w.dilation == 1;
  if (kind == Pool::max && c <= kScatterChannels && !shape.wide() && !(apart && c % 16 == 0)) {
    const Scatter scatter(shape, c);
    dispatch(dx.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      for_rows(dx.shape[0], 1, h * w * c, [&](ptrdiff_t n, ptrdiff_t, ptrdiff_t) {  // images
        const ptrdiff_t at = n * p * q * c;
        scatter.run(grad.as<T>() + at, static_cast<const uint8_t*>(taps) + at,
                    result.as<T>() + n * h * w * c);
      });
    });
    return result.finish();
  }
  dispatch(dx.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = backward_kernels.best(dx.dtype, int(kind)).template as<PoolBackwardFn<T>>();
    const std::vector<T> scale = kind == Pool::max ? std::vector<T>() : scales<T>(shape, divisor);
    const bool past = past_caches(result.as<T>(), dx.shape[0] * h * w * c, c);
    for_rows(dx.shape[0] * h, c, 2 * w * c, [&](ptrdiff_t row, ptrdiff_t c0, ptrdiff_t channels) {
      size_t i = size_t(row % h);
      ptrdiff_t at = row / h * p * q * c + c0;
      PoolBackwardArgs<T> args{grad.as<T>() + at,
                               nullptr,
                               nullptr,
                               q * c,
                               c,
                               rows.hits.data() + rows.begin[i],
                               rows.begin[i + 1] - rows.begin[i],
                               cols.hits.data(),
                               cols.begin.data(),
                               w,
                               channels,
                               scale.data(),
                               q,
                               shape.w.kernel,
                               result.as<T>() + row * w * c + c0,
                               c,
                               past,
                               apart ? shape.w.windows.data() : nullptr};
      if (taps && !shape.wide()) args.taps8 = static_cast<const uint8_t*>(taps) + at;
      if (taps && shape.wide()) args.taps = static_cast<const T*>(taps) + at;
      kernel(args);
    });
  });
  result.finish();
}

void pool2d_indices(const void* taps, Dtype dtype, ptrdiff_t n, ptrdiff_t channels,
                    const PoolShape& shape, int64_t* indices) {
  const ptrdiff_t p = shape.h.out, q = shape.w.out, width = shape.w.kernel;
  auto convert = [&](auto* tap) {
    for_rows(n * p, channels, 2 * q * channels, [&](ptrdiff_t row, ptrdiff_t c0, ptrdiff_t count) {
      const PoolWindow& rows = shape.h.windows[size_t(row % p)];
      for (ptrdiff_t i = 0; i < q; ++i) {
        const PoolWindow& cols = shape.w.windows[size_t(i)];
        ptrdiff_t at = (row * q + i) * channels + c0;
        for (ptrdiff_t c = at; c < at + count; ++c) {
          ptrdiff_t r = ptrdiff_t(tap[c]) / width - rows.tap;
          ptrdiff_t s = ptrdiff_t(tap[c]) % width - cols.tap;
          // A dilated window may lie in the padding on both sides; its index stays in the plane.
          ptrdiff_t h = std::min(rows.begin + r * shape.h.dilation, shape.h.in - 1);
          ptrdiff_t w = std::min(cols.begin + s * shape.w.dilation, shape.w.in - 1);
          indices[c] = h * shape.w.in + w;
        }
      }
    });
  };
  if (!shape.wide()) return convert(static_cast<const uint8_t*>(taps));
  dispatch(dtype, [&](auto* t) { convert(static_cast<const pointee<decltype(t)>*>(taps)); });
}

void max_unpool2d(const Operand& x, const int64_t* indices, const Operand& y) {
  if (y.size() == 0) return;
  ImageInput image(x);
  ImageOutput result(y);
  const ptrdiff_t c = x.shape[1], from = x.shape[2] * x.shape[3], to = y.shape[2] * y.shape[3];
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    for_rows(x.shape[0], c, (from + to) * c, [&](ptrdiff_t n, ptrdiff_t c0, ptrdiff_t channels) {
      const T* source = image.as<T>() + n * from * c + c0;
      const int64_t* index = indices + n * from * c + c0;
      T* target = result.as<T>() + n * to * c + c0;
      for (ptrdiff_t i = 0; i < to; ++i) std::fill_n(target + i * c, channels, T(0));
      for (ptrdiff_t i = 0; i < from; ++i)
        for (ptrdiff_t j = i * c; j < i * c + channels; ++j)
          target[place_in("max_unpool2d", index + j, to) * c + j - i * c] = source[j];
    });
  });
  result.finish();
}

void max_unpool2d_backward(const Operand& dy, const int64_t* indices, const Operand& dx) {
  if (dx.size() == 0) return;
  ImageInput grad(dy);
  ImageOutput result(dx);
  const ptrdiff_t c = dx.shape[1], to = dx.shape[2] * dx.shape[3], from = dy.shape[2] * dy.shape[3];
  dispatch(dx.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    for_rows(dx.shape[0], c, 2 * to * c, [&](ptrdiff_t n, ptrdiff_t c0, ptrdiff_t channels) {
      const T* source = grad.as<T>() + n * from * c + c0;
      const int64_t* index = indices + n * to * c + c0;
      T* target = result.as<T>() + n * to * c + c0;
      for (ptrdiff_t i = 0; i < to; ++i)
        for (ptrdiff_t j = i * c; j < i * c + channels; ++j)
          target[j] = source[place_in("max_unpool2d", index + j, from) * c + j - i * c];
    });
  });
  result.finish();
}

}  // namespace striate
