// SPDX-License-Identifier: Apache-2.0
// Memory in C order is one run of words. In channels-last memory neighbours are H W words apart, so
// the words of a tile of pixels are made channel by channel, as they are numbered, transposed in
// cache, and met there by the pixels: no array of words is ever in memory.
#include "ops/dropout/dropout.h"

#include <algorithm>

#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define DROPOUT(name, T, isa, pass) STRIATE_KERNEL(dropout, name, T, isa, int(Dropout::pass))
#define PHILOX DROPOUT
#include "ops/dropout/kernels.inc"
#undef DROPOUT
#undef PHILOX
};

constexpr ptrdiff_t kGrain = 1 << 14;                    // elements a thread should have at least
constexpr ptrdiff_t kTilePixels = 128, kTile = 1 << 14;  // words of a tile: two of them fit L2

template <class T>
DropoutFn<T>* kernel_of(Dropout pass) {
  return kernels.best(dtype_of<T>, int(pass)).template as<DropoutFn<T>>();
}
PhiloxFn* philox_kernel() { return kernels.best(Dtype::f32, int(Dropout::philox)).as<PhiloxFn>(); }

template <class T>
DropoutArgs<T> args_of(const DropoutOptions& o) {
  DropoutArgs<T> args{};
  args.rule = rule_of<T>(o);
  args.key = o.key;
  return args;
}

template <class T>
void flat(const T* x, T* y, ptrdiff_t n, const DropoutArgs<T>& options) {
  DropoutFn<T>* kernel = kernel_of<T>(Dropout::dropout);
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    FlushDenormals flush;
    DropoutArgs<T> args = options;
    args.x = x + begin, args.y = y + begin, args.n = end - begin, args.index = uint64_t(begin);
    kernel(args);
  };
  if (n <= 2 * kGrain) return run(0, n);
  parallel_ranges(n, kGrain, 64, run);
}

// An image's channels and pixels cut into tiles.
struct Tiles {
  ptrdiff_t channels, pixels, channel_block, pixel_block, across, down;

  Tiles(ptrdiff_t c, ptrdiff_t p)
      : channels(c),
        pixels(p),
        channel_block(std::min(c, std::max<ptrdiff_t>(1, kTile / std::min(p, kTilePixels)))),
        pixel_block(p <= kTilePixels ? p : kTilePixels),
        across((c + channel_block - 1) / channel_block),
        down((p + pixel_block - 1) / pixel_block) {}
};

template <class T>
void channels_last_tile(const Tiles& tiles, ptrdiff_t tile, const T* x, T* y,
                        const DropoutArgs<T>& options) {
  const ptrdiff_t c0 = tile % tiles.across * tiles.channel_block;
  const ptrdiff_t p0 = tile / tiles.across % tiles.down * tiles.pixel_block;
  const ptrdiff_t image = tile / tiles.across / tiles.down * tiles.channels * tiles.pixels;
  const ptrdiff_t c = std::min(tiles.channel_block, tiles.channels - c0);
  const ptrdiff_t p = std::min(tiles.pixel_block, tiles.pixels - p0);
  // Words move as floats, which are as wide: the transpose moves bits.
  static_assert(sizeof(float) == sizeof(uint32_t));
  Workspace<float> space(size_t(2 * c * p));
  float *made = space.data(), *turned = made + c * p;
  auto make = [&](ptrdiff_t first, ptrdiff_t n, float* to) {
    uint64_t index = uint64_t(image + first);
    philox_kernel()(
        {options.key, index / 4, 0, int(index % 4), n, reinterpret_cast<uint32_t*>(to)});
  };
  if (p == tiles.pixels)
    make(c0 * tiles.pixels, c * p, made);
  else
    for (ptrdiff_t i = 0; i < c; ++i) make((c0 + i) * tiles.pixels + p0, p, made + i * p);
  transpose_kernel<float>()(made, p, c, p, turned, c);
  const bool whole = c == tiles.channels;  // pixels are neighbours
  DropoutArgs<T> args = options;
  args.n = whole ? c * p : c;
  for (ptrdiff_t i = 0; i < (whole ? 1 : p); ++i) {
    ptrdiff_t at = image + (p0 + i) * tiles.channels + c0;
    args.x = x + at, args.y = y + at;
    args.words = reinterpret_cast<const uint32_t*>(turned + i * c);
    kernel_of<T>(Dropout::dropout_by_words)(args);
  }
}

template <class T>
void by_tiles(const Operand& x, const Operand& out, const DropoutArgs<T>& options) {
  const Tiles tiles(x.shape[1], x.size() / (x.shape[0] * x.shape[1]));
  const ptrdiff_t count = x.shape[0] * tiles.across * tiles.down;
  auto run = [&](ptrdiff_t tile) {
    FlushDenormals flush;
    channels_last_tile(tiles, tile, x.as<const T>(), out.as<T>(), options);
  };
  if (x.size() > 2 * kGrain) return parallel_for(count, run);
  for (ptrdiff_t tile = 0; tile < count; ++tile) run(tile);
}

// Where the last axis has unit stride in both: row by row, each a run of words.
template <class T>
void by_rows(const Operand& x, const Operand& out, const DropoutArgs<T>& options) {
  DropoutFn<T>* kernel = kernel_of<T>(Dropout::dropout);
  const int last = x.rank - 1;
  const ptrdiff_t n = x.shape[last];
  parallel_ranges(x.size() / n, kGrain / n + 1, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
    DropoutArgs<T> args = options;
    args.n = n;
    for (ptrdiff_t row = begin; row < end; ++row) {
      ptrdiff_t index = row, from = 0, to = 0;
      for (int i = last - 1; i >= 0; --i) {
        from += index % x.shape[i] * x.stride[i], to += index % x.shape[i] * out.stride[i];
        index /= x.shape[i];
      }
      args.x = x.as<const T>() + from, args.y = out.as<T>() + to, args.index = uint64_t(row * n);
      kernel(args);
    }
  });
}

template <class T>
void typed(const Operand& x, const DropoutOptions& given, const Operand& out) {
  const DropoutArgs<T> options = args_of<T>(given);
  if (is_c_order(x) && is_c_order(out))
    return flat(x.as<const T>(), out.as<T>(), x.size(), options);
  if (is_channels_last(x) && is_channels_last(out)) return by_tiles(x, out, options);
  if (x.stride[x.rank - 1] == 1 && out.stride[x.rank - 1] == 1) return by_rows(x, out, options);
  Workspace<T> space(size_t(x.size()));
  Operand dense = x;
  dense.data = space.data();
  c_order(x.shape, x.rank, dense.stride);
  copy(x, dense);
  flat<T>(space.data(), space.data(), x.size(), options);
  copy(dense, out);
}

}  // namespace

void check_probability(const DropoutOptions& options) {
  if (!(options.probability >= 0 && options.probability < 1))
    fail("dropout", "p", "a probability of at least 0 and below 1",
         std::to_string(options.probability));
}

void dropout(const Operand& x, const DropoutOptions& options, const Operand& out) {
  check_probability(options);
  if (x.size() == 0) return;
  dispatch(x.dtype, [&](auto* t) { typed<pointee<decltype(t)>>(x, options, out); });
}

void philox(uint64_t key, uint64_t block, uint64_t high, ptrdiff_t n, uint32_t* words) {
  philox_kernel()({key, block, high, 0, n, words});
}

}  // namespace striate
