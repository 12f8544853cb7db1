// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/depthwise.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/conv2d/implicit.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what) STRIATE_KERNEL(conv2d, name, T, isa, int(Depthwise::what))
#include "ops/conv2d/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kParallelWork = 1 << 16;  // multiply-adds below which one thread is quicker

template <class T>
DepthwisePixelFn<T>* pixel_kernel() {
  return kernels.best(dtype_of<T>, int(Depthwise::depthwise_pixel))
      .template as<DepthwisePixelFn<T>>();
}

// A row of the filter and the row of the image that meets it.
template <class T>
struct RowPair {
  const T *x, *w;  // [limit, C] pixels, [S, C] weights
};

// What is made anew for every row.
template <class T>
struct Scratch {
  std::vector<RowPair<T>> rows;  // from the top down
  std::vector<const T*> x, w;    // of taps
};

// Calls body(row, scratch) for every row.
template <class T, class F>
void share_rows(ptrdiff_t rows, ptrdiff_t work_a_row, F&& body) {
  parallel_ranges(rows, kParallelWork / std::max<ptrdiff_t>(work_a_row, 1) + 1, 1,
                  [&](ptrdiff_t begin, ptrdiff_t end) {
                    Scratch<T> scratch;
                    for (ptrdiff_t row = begin; row < end; ++row) body(row, scratch);
                  });
}

// [C, R, S] to [R, S, C], so that a tap's weights are unit-stride over channels.
template <class T>
void by_tap(const ConvShape& s, const T* w, T* out) {
  transpose_kernel<T>()(w, s.r * s.s, s.c, s.r * s.s, out, s.c);
}

// Outputs of a row of the image, `count` of them: output i is the sum over `rows` and `columns` of
// pixel i * step + column.offset, where that lies in [0, limit), times weight column.filter.
template <class T>
class Line {
 public:
  Line(std::vector<Meeting> columns, ptrdiff_t count, ptrdiff_t step, ptrdiff_t limit,
       ptrdiff_t channels, ptrdiff_t out_step)
      : columns_(std::move(columns)),
        count_(count),
        step_(step),
        limit_(limit),
        channels_(channels),
        out_step_(out_step) {
    if (columns_.size() > 1) {
      if (columns_[1].offset < columns_[0].offset) std::reverse(columns_.begin(), columns_.end());
      apart_ = columns_[1].offset - columns_[0].offset;
      w_apart_ = columns_[1].filter - columns_[0].filter;
    }
    begin_ = 0, end_ = count;
    for (const Meeting& c : columns_)
      begin_ = std::max(begin_, first(c)), end_ = std::min(end_, last(c));
    begin_ = std::min(begin_, count), end_ = std::max(end_, begin_);
  }

  // Calls run(i, n, low, high) for pixels [i, i + n) that meet columns [low, high): the middle is
  // one run, pixels at the edges stand alone.
  template <class F>
  void each_run(F&& run) const {
    auto alone = [&](ptrdiff_t i) {
      size_t low = 0, high = columns_.size();
      while (low < high && !meets(i, columns_[low])) ++low;
      while (high > low && !meets(i, columns_[high - 1])) --high;
      run(i, ptrdiff_t(1), low, high);
    };
    for (ptrdiff_t i = 0; i < begin_; ++i) alone(i);
    if (begin_ < end_) run(begin_, end_ - begin_, size_t(0), columns_.size());
    for (ptrdiff_t i = end_; i < count_; ++i) alone(i);
  }

  void compute(DepthwisePixelFn<T>* kernel, Scratch<T>& scratch, const Epilogue<T>& e,
               ptrdiff_t next_rows, bool past, T* out) const {
    auto& [rows, x, w] = scratch;
    x.resize(rows.size() * columns_.size()), w.resize(x.size());
    each_run([&](ptrdiff_t i, ptrdiff_t n, size_t low, size_t high) {
      // Columns that the kernel does not take together stand for rows of one.
      const size_t columns = high - low, together = takes(columns) ? columns : 1;
      size_t taps = 0;
      for (const RowPair<T>& row : rows)
        for (size_t c = low; c < high; c += together, ++taps) {
          x[taps] = row.x + (i * step_ + columns_[c].offset) * channels_;
          w[taps] = row.w + columns_[c].filter * channels_;
        }
      kernel({x.data(), w.data(), ptrdiff_t(taps), ptrdiff_t(together), n, step_ * channels_,
              apart_ * channels_, w_apart_ * channels_, out_step_, channels_, limit_ * channels_,
              taps > 0 ? next_rows : 0, e.bias, e.low, e.high, out + i * out_step_, past});
    });
  }

  const std::vector<Meeting>& columns() const { return columns_; }

 private:
  static bool takes(size_t columns) { return columns == 2 || columns == 3 || columns == 5; }

  // Where the outputs begin and end that meet a column.
  ptrdiff_t first(const Meeting& c) const {
    return c.offset >= 0 ? 0 : std::min(ceil_div(-c.offset, step_), count_);
  }
  ptrdiff_t last(const Meeting& c) const {
    return std::clamp<ptrdiff_t>(floor_div(limit_ - 1 - c.offset, step_) + 1, 0, count_);
  }
  bool meets(ptrdiff_t i, const Meeting& c) const { return i >= first(c) && i < last(c); }

  std::vector<Meeting> columns_;
  ptrdiff_t count_, step_, limit_, channels_, out_step_;
  ptrdiff_t apart_ = 0, w_apart_ = 0;  // pixels and weights between neighbouring columns
  ptrdiff_t begin_, end_;              // outputs that meet all columns
};

// The filter's columns over a row of x: output q meets pixel q * stride_w + offset.
template <class T>
Line<T> line_of(const ConvShape& s) {
  std::vector<Meeting> columns;
  for (ptrdiff_t t = 0; t < s.s; ++t) columns.push_back({t, t * s.dilation_w - s.left});
  return {std::move(columns), s.q, s.stride_w, s.w, s.c, s.c};
}

// No cache holds so many results, and pixels are whole lines.
template <class T>
bool past_caches(const ConvShape& s, ptrdiff_t pixels, const Epilogue<T>& e, const T* out) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  return double(s.n) * double(pixels) * double(s.c) * sizeof(T) >= double(kPastCachesBytes) &&
         s.c % line == 0 && uintptr_t(out) % 64 == 0 && !e.activation;
}

template <class T>
void finish(const Epilogue<T>& e, T* row, ptrdiff_t n) {
  if (e.activation) e.activation(row, row, n, e.parameter);
}

}  // namespace

template <class T>
void depthwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  auto* kernel = pixel_kernel<T>();
  const Line<T> line = line_of<T>(s);
  const bool past = past_caches(s, s.p * s.q, e, y);
  share_rows<T>(s.n * s.p, s.q * s.r * s.s * s.c, [&](ptrdiff_t row, Scratch<T>& scratch) {
    const ptrdiff_t n = row / s.p, h0 = row % s.p * s.stride_h - s.top;
    scratch.rows.clear();
    for (ptrdiff_t r = 0; r < s.r; ++r) {
      const ptrdiff_t h = h0 + r * s.dilation_h;
      if (h >= 0 && h < s.h)
        scratch.rows.push_back({x + (n * s.h + h) * s.w * s.c, weights.data() + r * s.s * s.c});
    }
    line.compute(kernel, scratch, e, s.stride_h, past, y + row * s.q * s.c);
    finish(e, y + row * s.q * s.c, s.q * s.c);
  });
}

template <class T>
void depthwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  auto* kernel = pixel_kernel<T>();
  // Pixels of dx a stride apart meet the same columns.
  std::vector<Line<T>> lines;
  for (ptrdiff_t v = 0; v < std::min(s.stride_w, s.w); ++v)
    lines.push_back({meetings(v, s.left, s.s, s.dilation_w, s.stride_w),
                     ceil_div(s.w - v, s.stride_w), 1, s.q, s.c, s.stride_w * s.c});
  const bool past = past_caches(s, s.h * s.w, e, dx);
  share_rows<T>(s.n * s.h, s.w * s.r * s.s * s.c, [&](ptrdiff_t row, Scratch<T>& scratch) {
    const ptrdiff_t n = row / s.h, h = row % s.h;
    scratch.rows.clear();
    const std::vector<Meeting> met = meetings(h % s.stride_h, s.top, s.r, s.dilation_h, s.stride_h);
    for (auto r = met.rbegin(); r != met.rend(); ++r) {
      const ptrdiff_t p = h / s.stride_h + r->offset;
      if (p >= 0 && p < s.p)
        scratch.rows.push_back(
            {dy + (n * s.p + p) * s.q * s.c, weights.data() + r->filter * s.s * s.c});
    }
    T* const out = dx + row * s.w * s.c;
    for (size_t v = 0; v < lines.size(); ++v)
      lines[v].compute(kernel, scratch, e, 1, past, out + ptrdiff_t(v) * s.c);
    finish(e, out, s.w * s.c);
  });
}

template <class T>
void depthwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  auto* kernel = kernels.best(dtype_of<T>, int(Depthwise::depthwise_weight))
                     .template as<DepthwiseWeightFn<T>>();
  const ptrdiff_t taps = s.r * s.s, rows = s.n * s.p;
  const ptrdiff_t parts = std::max<ptrdiff_t>((rows + kDepthwiseRows - 1) / kDepthwiseRows, 1);
  const Line<T> line = line_of<T>(s);
  Workspace<T> partial(size_t(parts * taps * s.c));  // [part][tap][C]
  std::fill_n(partial.data(), parts * taps * s.c, T(0));
  parallel_for(parts, [&](ptrdiff_t part) {
    for (ptrdiff_t row = part * kDepthwiseRows; row < std::min((part + 1) * kDepthwiseRows, rows);
         ++row) {
      for (ptrdiff_t r = 0; r < s.r; ++r) {
        const ptrdiff_t n = row / s.p, h = row % s.p * s.stride_h + r * s.dilation_h - s.top;
        if (h < 0 || h >= s.h) continue;
        const T* from = x + (n * s.h + h) * s.w * s.c;
        T* const to = partial.data() + (part * taps + r * s.s) * s.c;
        line.each_run([&](ptrdiff_t q, ptrdiff_t pixels, size_t low, size_t high) {
          for (ptrdiff_t t = ptrdiff_t(low); t < ptrdiff_t(high); t += kMostColumns)
            kernel({from + (q * s.stride_w + line.columns()[size_t(t)].offset) * s.c,
                    dy + (row * s.q + q) * s.c, s.stride_w * s.c, s.dilation_w * s.c, s.c, pixels,
                    std::min(kMostColumns, ptrdiff_t(high) - t), s.c, to + t * s.c, s.c});
        });
      }
    }
  });
  for (ptrdiff_t part = 1; part < parts; ++part)
    for (ptrdiff_t i = 0; i < taps * s.c; ++i) partial[i] += partial[part * taps * s.c + i];
  transpose_kernel<T>()(partial.data(), s.c, taps, s.c, dw, taps);  // [tap][C] to [C][tap]
}

#define INSTANCES(T)                                                                              \
  template void depthwise_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void depthwise_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void depthwise_bwd_weight(const ConvShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
