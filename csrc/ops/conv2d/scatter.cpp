// SPDX-License-Identifier: Apache-2.0
// Drives scatter.h:
//
//   the filters in panels of NR of the R * S * C values             once
//     for (image) x (block of rows of dx)                           one task, any thread
//       for each row of dy that meets them, in runs of pixels
//         P, on the register tile                                      L2
//         for each row of filters: P is added to a row of dx           L1
//
// Blocks share no row of dx: one of dy at their edge is multiplied for both. A row of P is added in
// passes, whose windows don't overlap: a load that meets parts of two stores has to wait for both.
// Which rows a block has does not change the order of a sum.
#include "ops/conv2d/scatter.h"

#include <algorithm>
#include <limits>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(conv2d, name, T, isa, 0)
#include "ops/conv2d/scatter_kernels.inc"
#undef ROW
};

template <class T>
class Scatter {
 public:
  Scatter(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx)
      : s_(s),
        dy_(dy),
        e_(e),
        dx_(dx),
        kernel_(gemm_kernel(dtype_of<T>)),
        add_(kernels.best(dtype_of<T>, 0).template as<void(const ScatterWindows<T>&)>()),
        window_(s.s * s.c),
        width_(s.r * window_),
        p_row_(ceil_div(width_, kernel_.nr) * kernel_.nr),
        run_(std::clamp<ptrdiff_t>(l2_bytes() / 4 / (p_row_ * ptrdiff_t(sizeof(T))), 32, 256)),
        filters_(packed_b_size<T>(s.k, width_)),
        bias_(size_t(e.bias ? s.w * s.c : 0)) {
    pack_b<T>({w, width_, 1, 0}, s.k, width_, filters_.data());
    if (e.bias)
      for (ptrdiff_t i = 0; i < s.w; ++i) std::copy_n(e.bias, s.c, bias_.data() + i * s.c);
  }

  void run() {
    ptrdiff_t blocks = 1;
    if (num_threads() > 1) blocks = ceil_div(3 * ptrdiff_t(num_threads()), s_.n);
    const ptrdiff_t reach = (s_.r - 1) * s_.dilation_h + 1;
    const ptrdiff_t rows = std::min(std::max(ceil_div(s_.h, blocks), 4 * reach), s_.h);
    blocks = ceil_div(s_.h, rows);
    parallel_for(s_.n * blocks, [&](ptrdiff_t part) {
      const ptrdiff_t h = part % blocks * rows;
      task(part / blocks, h, std::min(h + rows, s_.h));
    });
  }

 private:
  void task(ptrdiff_t n, ptrdiff_t h0, ptrdiff_t h1) {
    const ptrdiff_t row = s_.w * s_.c, reach = (s_.r - 1) * s_.dilation_h;
    T* const dx = dx_ + n * s_.h * row;
    std::fill(dx + h0 * row, dx + h1 * row, T(0));
    Workspace<T> products(size_t(run_ * p_row_));
    const ptrdiff_t p0 = std::max<ptrdiff_t>(ceil_div(h0 + s_.top - reach, s_.stride_h), 0);
    const ptrdiff_t p1 = std::min(floor_div(h1 - 1 + s_.top, s_.stride_h) + 1, s_.p);
    for (ptrdiff_t p = p0; p < p1; ++p)
      for (ptrdiff_t q = 0; q < s_.q; q += run_) {
        const ptrdiff_t end = std::min(q + run_, s_.q);
        multiply(dy_ + ((n * s_.p + p) * s_.q + q) * s_.k, end - q, products.data());
        for (ptrdiff_t r = 0; r < s_.r; ++r) {
          const ptrdiff_t h = p * s_.stride_h - s_.top + r * s_.dilation_h;
          if (h >= h0 && h < h1) add(products.data() + r * window_, q, end, dx + h * row);
        }
      }
    for (ptrdiff_t h = h0; h < h1; ++h) finish(dx + h * row, row);
  }

  // P of so many pixels of dy.
  void multiply(const T* dy, ptrdiff_t pixels, T* products) {
    const ptrdiff_t nr = kernel_.nr, height = ceil_div(pixels, ceil_div(pixels, kernel_.mr));
    const Epilogue<T> none;
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, s_.k};
    GemmTile<T> tile{&segment, 1,    1,       nr,      c,        0,        0,
                     T(1),     T(0), nullptr, nullptr, none.low, none.high};
    for (ptrdiff_t q = 0; q < pixels; q += height) {
      tile.m = int(std::min(height, pixels - q));
      for (ptrdiff_t j = 0; j < width_; j += nr) {
        segment.b = filters_.data() + j * s_.k;
        tile.n = int(std::min(nr, width_ - j));
        for (int i = 0; i < tile.m; ++i) {
          rows[i] = dy + (q + i) * s_.k;
          c[i] = products + (q + i) * p_row_ + j;
        }
        kernel_.run(tile);
      }
    }
  }

  // The windows of pixels [begin, end) under one row of filters.
  void add(const T* products, ptrdiff_t begin, ptrdiff_t end, T* dx) const {
    auto left = [&](ptrdiff_t q) { return q * s_.stride_w - s_.left; };
    // Those of [q0, q1) lie inside.
    const ptrdiff_t q0 = std::clamp(ceil_div(s_.left, s_.stride_w), begin, end);
    const ptrdiff_t inside = floor_div(s_.w - s_.s + s_.left, s_.stride_w) + 1;
    const ptrdiff_t q1 = std::clamp(inside, q0, end);
    auto edge = [&](ptrdiff_t q) {
      const ptrdiff_t from = std::max<ptrdiff_t>(-left(q), 0);
      const ptrdiff_t to = std::min(s_.s, s_.w - left(q));
      if (from < to)
        add_({dx + (left(q) + from) * s_.c, 0, products + (q - begin) * p_row_ + from * s_.c, 0, 1,
              (to - from) * s_.c});
    };
    for (ptrdiff_t q = begin; q < q0; ++q) edge(q);
    const ptrdiff_t passes = ceil_div(s_.s, s_.stride_w);
    for (ptrdiff_t q = q0; q < std::min(q0 + passes, q1); ++q)
      add_({dx + left(q) * s_.c, passes * s_.stride_w * s_.c, products + (q - begin) * p_row_,
            passes * p_row_, ceil_div(q1 - q, passes), window_});
    for (ptrdiff_t q = q1; q < end; ++q) edge(q);
  }

  void finish(T* row, ptrdiff_t n) {
    if (e_.bias) add_({row, 0, bias_.data(), 0, 1, n});
    if (e_.low > -std::numeric_limits<T>::infinity() ||
        e_.high < std::numeric_limits<T>::infinity())
      for (ptrdiff_t i = 0; i < n; ++i)  // NaN stays
        row[i] = row[i] < e_.low ? e_.low : row[i] > e_.high ? e_.high : row[i];
    if (e_.activation) e_.activation(row, row, n, e_.parameter);
  }

  const ConvShape& s_;
  const T* const dy_;
  const Epilogue<T>& e_;
  T* const dx_;
  const GemmKernel& kernel_;
  void (*const add_)(const ScatterWindows<T>&);
  const ptrdiff_t window_, width_, p_row_;  // values under a row of filters, and under all
  const ptrdiff_t run_;                     // pixels of dy at a time
  Workspace<T> filters_, bias_;
};

}  // namespace

template <class T>
void scatter_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& epilogue,
                      T* dx) {
  Scatter<T>(s, dy, w, epilogue, dx).run();
}
template void scatter_bwd_data(const ConvShape&, const float*, const float*, const Epilogue<float>&,
                               float*);
template void scatter_bwd_data(const ConvShape&, const double*, const double*,
                               const Epilogue<double>&, double*);

}  // namespace striate
