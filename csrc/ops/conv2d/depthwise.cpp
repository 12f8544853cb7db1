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

// The kernel that takes arguments of type A, and the bytes of its vectors.
template <class T, class A>
struct Chosen {
  void (*run)(const A&);
  ptrdiff_t vector;
  explicit Chosen(Depthwise what) {
    const Kernel& kernel = kernels.best(dtype_of<T>, int(what));
    run = kernel.as<void(const A&)>();
    vector = kernel.isa >= Isa::avx512 ? 64 : 32;
  }
};

constexpr ptrdiff_t kParallelWork = 1 << 16;  // multiply-adds below which one thread is quicker

// Calls body(unit) for every unit of work.
template <class F>
void share(ptrdiff_t units, ptrdiff_t work_a_unit, F&& body) {
  parallel_ranges(units, kParallelWork / std::max<ptrdiff_t>(work_a_unit, 1) + 1, 1,
                  [&](ptrdiff_t begin, ptrdiff_t end) {
                    for (ptrdiff_t unit = begin; unit < end; ++unit) body(unit);
                  });
}

template <class T>
ptrdiff_t filter_elements(const ConvShape& s) {
  return ceil_div(s.c, kLineChannels<T>) * kLineChannels<T> * s.r * s.s;
}

// Calls move(w, filters, channels) for the channels of each line: those of w [C, R, S] and of
// `filters`, as the kernels have them.
template <class T, class W, class F, class Move>
void each_line(const ConvShape& s, W* w, F* filters, Move&& move) {
  constexpr ptrdiff_t line = kLineChannels<T>;
  for (ptrdiff_t c = 0; c < s.c; c += line, filters += line * s.r * s.s)
    move(w + c * s.r * s.s, filters, std::min(line, s.c - c));
}

// Filters as the kernels have them; `turned`: the last tap first.
template <class T>
Workspace<T> packed(const ConvShape& s, const T* w, bool turned) {
  constexpr ptrdiff_t line = kLineChannels<T>;
  const ptrdiff_t taps = s.r * s.s;
  Workspace<T> filters(size_t(filter_elements<T>(s)));
  each_line<T>(s, w, filters.data(), [&](const T* from, T* to, ptrdiff_t channels) {
    transpose_kernel<T>()(from, taps, channels, taps, turned ? to + (taps - 1) * line : to,
                          turned ? -line : line);
  });
  return filters;
}

bool has_blocks(const ConvShape& s) {
  return s.r == s.s && (s.r == 3 || s.r == 5) && s.stride_h == s.stride_w && s.stride_h <= 2 &&
         s.dilation_h == 1 && s.dilation_w == 1;
}

template <class T>
bool is_far(const ConvShape& s) {
  const double pixels = double(s.h) * double(s.w) + double(s.p) * double(s.q);
  return double(s.n) * pixels * double(s.c) * sizeof(T) > double(kPastCachesBytes);
}

// No cache holds the images, the results are a good part of them, and pixels are whole lines.
template <class T>
bool past_caches(const ConvShape& s, ptrdiff_t pixels, const Epilogue<T>& e, const T* out) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  return is_far<T>(s) &&
         double(s.n) * double(pixels) * double(s.c) * sizeof(T) >= double(kPastCachesBytes / 2) &&
         s.c % line == 0 && uintptr_t(out) % 64 == 0 && !e.activation;
}

// The rows of an image of `height` rows of `row` elements from row `first` on, null beside it.
template <class T>
void rows_from(const T* image, ptrdiff_t height, ptrdiff_t row, ptrdiff_t first, ptrdiff_t count,
               const T** rows) {
  for (ptrdiff_t r = 0; r < count; ++r)
    rows[r] = size_t(first + r) < size_t(height) ? image + (first + r) * row : nullptr;
}

// Where the first blocks lie along an axis: of the outputs, which may be one before the first, and
// of x.
struct Begin {
  ptrdiff_t out, x;
};
Begin of_gather(ptrdiff_t pad) { return {0, -pad}; }
Begin of_spread(ptrdiff_t filter, ptrdiff_t pad) {
  const ptrdiff_t x = floor_div(pad + 2 - filter, 2);
  return {filter - 2 - pad + 2 * x, x};
}

// A pass of x, images of x_h by x_w, to h by w.
struct ByBlocks {
  ptrdiff_t stride;
  bool spread;
  ptrdiff_t x_h, x_w, h, w;
  Begin down, along;
};

template <class T>
void by_blocks(const ConvShape& s, const ByBlocks& pass, const T* x, const T* w,
               const Epilogue<T>& e, T* out) {
  const Chosen<T, DepthwiseBlocks<T>> kernel(Depthwise::depthwise_blocks);
  const bool past = past_caches(s, pass.h * pass.w, e, out);
  const ptrdiff_t together =
      pass.spread ? 2 : depthwise_together(s.r, pass.stride, kernel.vector, false);
  const ptrdiff_t units = ceil_div(pass.h - pass.down.out, together), row = pass.w * s.c;
  share(s.n * units, together * pass.w * s.r * s.s * s.c, [&](ptrdiff_t unit) {
    const ptrdiff_t n = unit / units, at = unit % units;
    const T* const image = x + n * pass.x_h * pass.x_w * s.c;
    T* const to = out + n * pass.h * row;
    const ptrdiff_t begin = pass.down.out + at * together;
    const ptrdiff_t end = std::min(begin + together, pass.h);
    const T* rows[kMostDepthwiseRows];
    T* outs[kMostDepthwiseOuts];
    for (ptrdiff_t h = begin, count; h < end; h += count) {
      count = together;
      while (count > end - h && !pass.spread) count /= 2;
      const ptrdiff_t first = pass.down.x + (pass.spread ? at : (h - pass.down.out) * pass.stride);
      rows_from(image, pass.x_h, pass.x_w * s.c, first,
                depthwise_rows(s.r, pass.stride, pass.spread, count), rows);
      for (ptrdiff_t o = 0; o < count; ++o)
        outs[o] = size_t(h + o) < size_t(pass.h) ? to + (h + o) * row : nullptr;
      kernel.run({s.r, pass.stride, pass.spread, count, rows, outs, pass.x_w, pass.w, pass.along.x,
                  pass.along.out, w, s.c, e.bias, e.low, e.high, is_far<T>(s), past});
    }
    const ptrdiff_t from = std::max<ptrdiff_t>(begin, 0);
    if (e.activation)
      e.activation(to + from * row, to + from * row, (end - from) * row, e.parameter);
  });
}

// Outputs of a row that meet the same columns: outputs first + i * apart, i < pixels, columns
// [low, high) of the filter, the first of them at pixel x + i * step.
struct Run {
  ptrdiff_t first, apart, pixels, low, high, x, step;
};

// The runs of every `apart`-th of the outputs from `first` on, `count` of them: output i meets
// column t at pixel i * step + columns[t].offset, where that lies in [0, limit). Those that meet
// all are one run, pixels at the edges alone. Columns are in the order of their pixels.
std::vector<Run> runs_of(const std::vector<Meeting>& columns, ptrdiff_t first, ptrdiff_t apart,
                         ptrdiff_t count, ptrdiff_t step, ptrdiff_t limit) {
  const ptrdiff_t taps = ptrdiff_t(columns.size());
  auto pixel = [&](ptrdiff_t i, ptrdiff_t t) { return i * step + columns[size_t(t)].offset; };
  auto meets = [&](ptrdiff_t i, ptrdiff_t t) { return size_t(pixel(i, t)) < size_t(limit); };
  std::vector<Run> runs;
  for (ptrdiff_t i = 0, n = 1; i < count; i += n) {
    ptrdiff_t low = 0, high = taps;
    while (low < high && !meets(i, low)) ++low;
    while (high > low && !meets(i, high - 1)) --high;
    n = 1;
    if (high - low == taps)
      while (i + n < count && (taps == 0 || meets(i + n, taps - 1))) ++n;
    const ptrdiff_t x = low < high ? pixel(i, low) : 0;
    runs.push_back({first + i * apart, apart, n, low, high, x, step});
  }
  return runs;
}

// Pixels of a row that meet the same columns of the filter, and where those are.
struct Line {
  std::vector<Meeting> columns;
  std::vector<Run> runs;
  Line(std::vector<Meeting> met, ptrdiff_t first, ptrdiff_t apart, ptrdiff_t count, ptrdiff_t step,
       ptrdiff_t limit)
      : columns(std::move(met)) {
    if (columns.size() > 1 && columns[1].offset < columns[0].offset)
      std::reverse(columns.begin(), columns.end());
    runs = runs_of(columns, first, apart, count, step, limit);
  }
  // That the first output of a run meets column t at.
  ptrdiff_t pixel(const Run& run, ptrdiff_t t) const {
    return run.x + columns[size_t(t)].offset - columns[size_t(run.low)].offset;
  }
};

// Output q meets pixel q * stride_w + offset.
Line line_of(const ConvShape& s) {
  std::vector<Meeting> columns;
  for (ptrdiff_t t = 0; t < s.s; ++t) columns.push_back({t, t * s.dilation_w - s.left});
  return {std::move(columns), 0, 1, s.q, s.stride_w, s.w};
}

// A row of x and the row of the filter that meets it.
template <class T>
struct RowPair {
  const T* x;
  ptrdiff_t r;
};

// Rows of `width` outputs tap by tap, `height` in an image. rows(image, row, list) fills the list
// with the rows that meet one.
template <class T, class Fill>
void by_taps(const ConvShape& s, ptrdiff_t height, ptrdiff_t width, const std::vector<Line>& lines,
             const T* w, const Epilogue<T>& e, T* out, Fill&& fill) {
  const Chosen<T, DepthwiseTaps<T>> kernel(Depthwise::depthwise_taps);
  share(s.n * height, width * s.r * s.s * s.c, [&](ptrdiff_t unit) {
    std::vector<RowPair<T>> rows;
    std::vector<const T*> x, weights;
    fill(unit / height, unit % height, rows);
    T* const to = out + unit * width * s.c;
    for (const Line& line : lines)
      for (const Run& run : line.runs) {
        x.clear(), weights.clear();
        for (const RowPair<T>& row : rows)
          for (ptrdiff_t t = run.low; t < run.high; ++t) {
            const ptrdiff_t tap = row.r * s.s + line.columns[size_t(t)].filter;
            x.push_back(row.x + line.pixel(run, t) * s.c);
            weights.push_back(w + tap * kLineChannels<T>);
          }
        kernel.run({ptrdiff_t(x.size()), run.pixels, s.r * s.s, x.data(), weights.data(),
                    to + run.first * s.c, run.step * s.c, run.apart * s.c, s.c, e.bias, e.low,
                    e.high});
      }
    if (e.activation) e.activation(to, to, width * s.c, e.parameter);
  });
}

}  // namespace

template <class T>
void depthwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  Workspace<T> weights = packed(s, w, false);
  if (has_blocks(s))
    return by_blocks(s,
                     {s.stride_h, false, s.h, s.w, s.p, s.q, of_gather(s.top), of_gather(s.left)},
                     x, weights.data(), e, y);
  by_taps(s, s.p, s.q, {line_of(s)}, weights.data(), e, y,
          [&](ptrdiff_t n, ptrdiff_t p, std::vector<RowPair<T>>& rows) {
            for (ptrdiff_t r = 0; r < s.r; ++r) {
              const ptrdiff_t h = p * s.stride_h - s.top + r * s.dilation_h;
              if (h >= 0 && h < s.h) rows.push_back({x + (n * s.h + h) * s.w * s.c, r});
            }
          });
}

template <class T>
void depthwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  const bool spread = s.stride_h == 2;
  Workspace<T> weights = packed(s, w, has_blocks(s) && !spread);
  if (has_blocks(s)) {
    const auto begin = [&](ptrdiff_t pad) {
      return spread ? of_spread(s.r, pad) : of_gather(s.r - 1 - pad);
    };
    return by_blocks(s, {s.stride_h, spread, s.p, s.q, s.h, s.w, begin(s.top), begin(s.left)}, dy,
                     weights.data(), e, dx);
  }
  // Pixels of dx a stride apart meet the same columns.
  std::vector<Line> lines;
  for (ptrdiff_t v = 0; v < std::min(s.stride_w, s.w); ++v)
    lines.emplace_back(meetings(v, s.left, s.s, s.dilation_w, s.stride_w), v, s.stride_w,
                       ceil_div(s.w - v, s.stride_w), 1, s.q);
  by_taps(s, s.h, s.w, lines, weights.data(), e, dx,
          [&](ptrdiff_t n, ptrdiff_t h, std::vector<RowPair<T>>& rows) {
            const auto met = meetings(h % s.stride_h, s.top, s.r, s.dilation_h, s.stride_h);
            for (auto r = met.rbegin(); r != met.rend(); ++r) {
              const ptrdiff_t p = h / s.stride_h + r->offset;
              if (p >= 0 && p < s.p) rows.push_back({dy + (n * s.p + p) * s.q * s.c, r->filter});
            }
          });
}

namespace {

// The weights' gradient of rows [begin, end) of the images' rows of dy, added to sums [R][S][C].
template <class T>
void weight_by_blocks(const ConvShape& s, const T* x, const T* dy, ptrdiff_t begin, ptrdiff_t end,
                      T* sums) {
  const Chosen<T, DepthwiseWeightBlocks<T>> kernel(Depthwise::depthwise_weight_blocks);
  const ptrdiff_t together = depthwise_together(s.r, s.stride_h, kernel.vector, true);
  const T* rows[kMostDepthwiseRows];
  for (ptrdiff_t row = begin, outs; row < end; row += outs) {
    const ptrdiff_t n = row / s.p, p = row % s.p;
    outs = together;
    while (outs > std::min(end - row, s.p - p)) outs /= 2;
    rows_from(x + n * s.h * s.w * s.c, s.h, s.w * s.c, p * s.stride_h - s.top,
              depthwise_rows(s.r, s.stride_h, false, outs), rows);
    kernel.run({s.r, s.stride_h, outs, rows, dy + row * s.q * s.c, s.w, s.q, -s.left, sums, s.c,
                is_far<T>(s)});
  }
}

template <class T>
void weight_by_taps(const ConvShape& s, const Line& line, const T* x, const T* dy, ptrdiff_t begin,
                    ptrdiff_t end, T* sums) {
  const Chosen<T, DepthwiseWeightTaps<T>> kernel(Depthwise::depthwise_weight_taps);
  std::vector<const T*> from;
  std::vector<T*> to;
  for (ptrdiff_t row = begin; row < end; ++row)
    for (const Run& run : line.runs) {
      from.clear(), to.clear();
      for (ptrdiff_t r = 0; r < s.r; ++r) {
        const ptrdiff_t h = row % s.p * s.stride_h + r * s.dilation_h - s.top;
        if (h < 0 || h >= s.h) continue;
        for (ptrdiff_t t = run.low; t < run.high; ++t) {
          from.push_back(x + ((row / s.p * s.h + h) * s.w + line.pixel(run, t)) * s.c);
          to.push_back(sums + (r * s.s + line.columns[size_t(t)].filter) * kLineChannels<T>);
        }
      }
      kernel.run({ptrdiff_t(from.size()), run.pixels, s.r * s.s, from.data(),
                  dy + (row * s.q + run.first) * s.c, to.data(), run.step * s.c, s.c, s.c});
    }
}

}  // namespace

template <class T>
void depthwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  const ptrdiff_t taps = s.r * s.s, rows = s.n * s.p, elements = filter_elements<T>(s);
  const ptrdiff_t parts = std::max<ptrdiff_t>(ceil_div(rows, kDepthwiseRows), 1);
  const Line line = line_of(s);
  Workspace<T> sums(size_t(parts * elements));  // a filter each
  std::fill_n(sums.data(), parts * elements, T(0));
  parallel_for(parts, [&](ptrdiff_t part) {
    const ptrdiff_t begin = part * kDepthwiseRows, end = std::min(begin + kDepthwiseRows, rows);
    T* const of_part = sums.data() + part * elements;
    if (has_blocks(s))
      weight_by_blocks(s, x, dy, begin, end, of_part);
    else
      weight_by_taps(s, line, x, dy, begin, end, of_part);
  });
  for (ptrdiff_t part = 1; part < parts; ++part)
    for (ptrdiff_t i = 0; i < elements; ++i) sums[size_t(i)] += sums[size_t(part * elements + i)];
  each_line<T>(s, dw, sums.data(), [&](T* to, const T* from, ptrdiff_t channels) {
    transpose_kernel<T>()(from, kLineChannels<T>, taps, channels, to, taps);
  });
}

#define INSTANCES(T)                                                                              \
  template void depthwise_fwd(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*);      \
  template void depthwise_bwd_data(const ConvShape&, const T*, const T*, const Epilogue<T>&, T*); \
  template void depthwise_bwd_weight(const ConvShape&, const T*, const T*, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
