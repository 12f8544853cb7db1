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

template <class T>
DepthwisePixelFn<T>* pixel_kernel() {
  return kernels.best(dtype_of<T>, int(Depthwise::depthwise_pixel))
      .template as<DepthwisePixelFn<T>>();
}

constexpr ptrdiff_t kParallelWork = 1 << 16;  // multiply-adds below which one thread is quicker

// A row of x and the row of the filter that meets it.
template <class T>
struct RowPair {
  const T* x;  // [limit, C] pixels
  ptrdiff_t r;
};

// What is made anew for every row.
template <class T>
struct Scratch {
  std::vector<RowPair<T>> rows;  // from the top down
  std::vector<const T*> x, w;
  std::vector<T*> out;
};

// Calls body(unit, scratch) for every unit of work.
template <class T, class F>
void share(ptrdiff_t units, ptrdiff_t work_a_unit, F&& body) {
  parallel_ranges(units, kParallelWork / std::max<ptrdiff_t>(work_a_unit, 1) + 1, 1,
                  [&](ptrdiff_t begin, ptrdiff_t end) {
                    Scratch<T> scratch;
                    for (ptrdiff_t unit = begin; unit < end; ++unit) body(unit, scratch);
                  });
}

// [C, R, S] to [R, S, C], so that a tap's weights are unit-stride over channels.
template <class T>
void by_tap(const ConvShape& s, const T* w, T* out) {
  transpose_kernel<T>()(w, s.r * s.s, s.c, s.r * s.s, out, s.c);
}

// Outputs of a row, `count` of them: output i is the sum over rows and columns of pixel i * step +
// column.offset, where that lies in [0, limit), times weight column.filter. Cut into runs.
class Line {
 public:
  struct Run {
    DepthwiseRun run;
    ptrdiff_t first, apart;  // outputs first + i * apart
    ptrdiff_t low, high;     // under columns [low, high) ...
    bool together;           // ... at once, or one by one, as rows of one column
    ptrdiff_t x, x_step;     // the first pixel that is read, pixels from one to the next
  };

  Line(std::vector<Meeting> columns, ptrdiff_t count, ptrdiff_t step, ptrdiff_t limit)
      : columns_(std::move(columns)), count_(count), step_(step), limit_(limit) {
    const ptrdiff_t taps = ptrdiff_t(columns_.size());
    if (taps > 1 && offset(1) < offset(0)) std::reverse(columns_.begin(), columns_.end());
    const ptrdiff_t apart = taps > 1 ? offset(1) - offset(0) : 1;
    if (taps == 1)
      slide(1, step, 1);
    else if (taps > 1 && taps <= kMostColumns && step == 1)
      slide(apart, apart, 1);
    else if (taps > 1 && taps <= kMostColumns && step == 2 && apart == 1)
      slide(1, 1, 2);
    else
      stand(taps);
    for (size_t i = 0; i < runs_.size(); ++i)
      if (runs_[i].run.pixels > runs_[longest_].run.pixels) longest_ = i;
  }

  const std::vector<Run>& runs() const { return runs_; }
  bool is_longest(const Run& run) const { return &run == &runs_[longest_]; }
  ptrdiff_t limit() const { return limit_; }
  ptrdiff_t offset(ptrdiff_t column) const { return columns_[size_t(column)].offset; }
  ptrdiff_t filter(ptrdiff_t column) const { return columns_[size_t(column)].filter; }
  // From one column's weights to the next's.
  ptrdiff_t w_column() const { return columns_.size() > 1 ? filter(1) - filter(0) : 0; }

 private:
  // Every `classes`-th output slides over the pixels that its columns meet.
  void slide(ptrdiff_t classes, ptrdiff_t x_step, ptrdiff_t stride) {
    const ptrdiff_t taps = ptrdiff_t(columns_.size());
    for (ptrdiff_t v = 0; v < std::min(classes, count_); ++v) {
      const ptrdiff_t pixels = ceil_div(count_ - v, classes), x = v + offset(0);
      const ptrdiff_t columns = (pixels - 1) * stride + taps;
      const ptrdiff_t lead = std::clamp<ptrdiff_t>(ceil_div(-x, x_step), 0, columns);
      const ptrdiff_t end =
          std::clamp<ptrdiff_t>(floor_div(limit_ - 1 - x, x_step) + 1, lead, columns);
      runs_.push_back({{pixels, taps, stride, lead, end - lead},
                       v,
                       classes,
                       0,
                       taps,
                       true,
                       lead < end ? x + lead * x_step : 0,
                       x_step});
    }
  }

  // Columns stand for rows of one: those that meet all are one run, pixels at the edges alone.
  void stand(ptrdiff_t taps) {
    auto meets = [&](ptrdiff_t i, ptrdiff_t t) {
      const ptrdiff_t pixel = i * step_ + offset(t);
      return pixel >= 0 && pixel < limit_;
    };
    for (ptrdiff_t i = 0, n = 1; i < count_; i += n) {
      ptrdiff_t low = 0, high = taps;
      while (low < high && !meets(i, low)) ++low;
      while (high > low && !meets(i, high - 1)) --high;
      n = 1;
      if (high - low == taps)
        while (i + n < count_ && (taps == 0 || meets(i + n, taps - 1))) ++n;
      runs_.push_back({{n, 1, 1, 0, n},
                       i,
                       1,
                       low,
                       high,
                       false,
                       low < high ? i * step_ + offset(low) : 0,
                       step_});
    }
  }

  std::vector<Meeting> columns_;
  ptrdiff_t count_, step_, limit_;
  std::vector<Run> runs_;
  size_t longest_ = 0;
};

// The filter's columns over a row of x: output q meets pixel q * stride_w + offset.
Line line_of(const ConvShape& s) {
  std::vector<Meeting> columns;
  for (ptrdiff_t t = 0; t < s.s; ++t) columns.push_back({t, t * s.dilation_w - s.left});
  return {std::move(columns), s.q, s.stride_w, s.w};
}

// What is asked for while a run of `pixels` is computed: so many rows, spread over it.
ptrdiff_t lines_a_pixel(ptrdiff_t rows, ptrdiff_t width, ptrdiff_t pixels) {
  constexpr ptrdiff_t most = 8;
  rows = std::min(rows, most);
  return std::min(ceil_div(rows * width, std::max<ptrdiff_t>(pixels, 1)), most);
}

// What the rows of outputs of a pass have in common.
template <class T>
struct Outputs {
  DepthwisePixelFn<T>* kernel;
  const T* weights;                      // [R, S, C]
  ptrdiff_t s, channels, width, stride;  // pixels of a row, and one in `stride` is made
  ptrdiff_t step;                        // rows of x from one row of outputs to the next
  const Epilogue<T>& e;
  bool past, far;  // results go past the caches; no cache holds the images

  // Writes `outs` rows of outputs, one below the other. Of scratch.rows the first meets all but the
  // last (outs - 1) * step, the next those `step` further down. `next_rows` of x are the first that
  // the rows below these need; with `fetch` they are asked for.
  void make(const Line& line, Scratch<T>& scratch, T* out, ptrdiff_t outs, ptrdiff_t next_rows,
            bool fetch) const {
    auto& [rows, x, w, to] = scratch;
    const ptrdiff_t met = ptrdiff_t(rows.size()) - (outs - 1) * step, row = width * channels;
    for (const Line::Run& run : line.runs()) {
      x.clear(), w.clear(), to.clear();
      for (ptrdiff_t i = 0; i < ptrdiff_t(rows.size()); ++i)
        for (ptrdiff_t t = run.low; t < run.high; t += run.together ? run.high - run.low : 1) {
          const RowPair<T>& pair = rows[size_t(i)];
          x.push_back(pair.x + (run.x + line.offset(t) - line.offset(run.low)) * channels);
          if (i < met) w.push_back(weights + (pair.r * s + line.filter(t)) * channels);
        }
      for (ptrdiff_t o = 0; o < outs; ++o)
        to.push_back(out + o * row + run.first * stride * channels);
      DepthwiseAhead ahead;
      if (fetch && line.is_longest(run) && !rows.empty()) {
        ahead = {rows.back().x + line.limit() * channels, out + outs * row,
                 lines_a_pixel(next_rows, line.limit(), run.run.pixels),
                 past ? 0 : lines_a_pixel(outs, width, run.run.pixels), far};
      }
      kernel({run.run, ptrdiff_t(w.size()), outs, x.data(), w.data(), to.data(),
              run.x_step * channels, line.w_column() * channels, run.apart * stride * channels,
              channels, e.bias, e.low, e.high, past, ahead});
    }
  }

  void finish(T* out, ptrdiff_t outs) const {
    if (e.activation) e.activation(out, out, outs * width * channels, e.parameter);
  }
};

template <class T>
bool is_far(const ConvShape& s) {
  const double pixels = double(s.h) * double(s.w) + double(s.p) * double(s.q);
  return double(s.n) * pixels * double(s.c) * sizeof(T) > double(kPastCachesBytes);
}

// No cache holds so many results, and pixels are whole lines.
template <class T>
bool past_caches(const ConvShape& s, ptrdiff_t pixels, const Epilogue<T>& e, const T* out) {
  constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
  return double(s.n) * double(pixels) * double(s.c) * sizeof(T) >= double(kPastCachesBytes) &&
         s.c % line == 0 && uintptr_t(out) % 64 == 0 && !e.activation;
}

ptrdiff_t rows_together(const ConvShape& s, bool past) {
  if (s.stride_h != s.stride_w || s.dilation_h > 1 || s.dilation_w > 1 || past) return 1;
  return depthwise_together(s.r, s.s, s.stride_w);
}

// Calls make(image, row, outs, scratch) for all rows of outputs, up to `together` at once where
// they meet whole filters and share rows of x. rows(image, row, scratch) fills scratch.rows for one
// row of outputs and returns which row of x is the last of them; x has in_height rows of in_row
// elements. The first `edge` rows of outputs meet less.
template <class T, class Rows, class Make>
void each_row(const ConvShape& s, ptrdiff_t height, ptrdiff_t width, ptrdiff_t in_row,
              ptrdiff_t in_height, ptrdiff_t step, ptrdiff_t together, ptrdiff_t edge, Rows&& rows,
              Make&& make) {
  edge = std::clamp<ptrdiff_t>(edge, 0, height - 1);
  const ptrdiff_t units = ceil_div(height - edge, together);
  share<T>(s.n * units, together * width * s.r * s.s * s.c, [&](ptrdiff_t unit, Scratch<T>& now) {
    const ptrdiff_t n = unit / units, first = edge + unit % units * together;
    const ptrdiff_t end = std::min(first + together, height);
    for (ptrdiff_t h = first == edge ? 0 : first; h < end;) {
      now.rows.clear();
      const ptrdiff_t below = rows(n, h, now) + 1;  // the row of x below those
      ptrdiff_t outs = 1;
      if (ptrdiff_t(now.rows.size()) == s.r)
        while (2 * outs <= std::min(together, end - h) &&
               below + (2 * outs - 1) * step <= in_height)
          outs *= 2;
      for (ptrdiff_t r = 0; r < (outs - 1) * step; ++r)
        now.rows.push_back({now.rows.back().x + in_row, 0});
      make(n, h, outs, now);
      h += outs;
    }
  });
}

}  // namespace

template <class T>
void depthwise_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  const Line line = line_of(s);
  const bool past = past_caches(s, s.p * s.q, e, y);
  const ptrdiff_t together = rows_together(s, past);
  const Outputs<T> outputs{pixel_kernel<T>(), weights.data(), s.s, s.c, s.q, 1, s.stride_h, e, past,
                           is_far<T>(s)};
  each_row<T>(
      s, s.p, s.q, s.w * s.c, s.h, s.stride_h, together, ceil_div(s.top, s.stride_h),
      [&](ptrdiff_t n, ptrdiff_t p, Scratch<T>& scratch) {
        ptrdiff_t last = s.h;
        for (ptrdiff_t r = 0; r < s.r; ++r) {
          const ptrdiff_t h = p * s.stride_h - s.top + r * s.dilation_h;
          if (h >= 0 && h < s.h)
            scratch.rows.push_back({x + (n * s.h + h) * s.w * s.c, r}), last = h;
        }
        return last;
      },
      [&](ptrdiff_t n, ptrdiff_t p, ptrdiff_t outs, Scratch<T>& scratch) {
        T* const out = y + (n * s.p + p) * s.q * s.c;
        outputs.make(line, scratch, out, outs, outs * s.stride_h, true);
        outputs.finish(out, outs);
      });
}

template <class T>
void depthwise_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  Workspace<T> weights(size_t(s.r * s.s * s.c));
  by_tap(s, w, weights.data());
  // Pixels of dx a stride apart meet the same columns.
  std::vector<Line> lines;
  for (ptrdiff_t v = 0; v < std::min(s.stride_w, s.w); ++v)
    lines.emplace_back(meetings(v, s.left, s.s, s.dilation_w, s.stride_w),
                       ceil_div(s.w - v, s.stride_w), 1, s.q);
  const bool past = s.stride_w == 1 && past_caches(s, s.h * s.w, e, dx);
  const ptrdiff_t together = s.stride_h > 1 ? 1 : rows_together(s, past);
  const Outputs<T> outputs{pixel_kernel<T>(), weights.data(), s.s, s.c, s.w, s.stride_w, 1, e, past,
                           is_far<T>(s)};
  each_row<T>(
      s, s.h, s.w, s.q * s.c, s.p, 1, together, s.r - 1 - s.top,
      [&](ptrdiff_t n, ptrdiff_t h, Scratch<T>& scratch) {
        const std::vector<Meeting> met =
            meetings(h % s.stride_h, s.top, s.r, s.dilation_h, s.stride_h);
        ptrdiff_t last = s.p;
        for (auto r = met.rbegin(); r != met.rend(); ++r) {
          const ptrdiff_t p = h / s.stride_h + r->offset;
          if (p >= 0 && p < s.p)
            scratch.rows.push_back({dy + (n * s.p + p) * s.q * s.c, r->filter}), last = p;
        }
        return last;
      },
      [&](ptrdiff_t n, ptrdiff_t h, ptrdiff_t outs, Scratch<T>& scratch) {
        T* const out = dx + (n * s.h + h) * s.w * s.c;
        for (size_t v = 0; v < lines.size(); ++v)
          outputs.make(lines[v], scratch, out + ptrdiff_t(v) * s.c, outs, outs,
                       v + 1 == lines.size());
        outputs.finish(out, outs);
      });
}

template <class T>
void depthwise_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  auto* kernel = kernels.best(dtype_of<T>, int(Depthwise::depthwise_weight))
                     .template as<DepthwiseWeightFn<T>>();
  const ptrdiff_t taps = s.r * s.s, rows = s.n * s.p;
  const ptrdiff_t parts = std::max<ptrdiff_t>(ceil_div(rows, kDepthwiseRows), 1);
  const ptrdiff_t together = rows_together(s, false);
  const bool far = is_far<T>(s);
  const Line line = line_of(s);
  Workspace<T> partial(size_t(parts * taps * s.c));  // [part][tap][C]
  std::fill_n(partial.data(), parts * taps * s.c, T(0));
  parallel_for(parts, [&](ptrdiff_t part) {
    Scratch<T> scratch;
    auto& [met, from, w, to] = scratch;
    const ptrdiff_t last = std::min((part + 1) * kDepthwiseRows, rows);
    for (ptrdiff_t row = part * kDepthwiseRows, outs; row < last; row += outs) {
      met.clear(), outs = 1;
      for (ptrdiff_t r = 0; r < s.r; ++r) {
        const ptrdiff_t h = row % s.p * s.stride_h + r * s.dilation_h - s.top;
        if (h >= 0 && h < s.h) met.push_back({x + (row / s.p * s.h + h) * s.w * s.c, r});
      }
      if (met.empty()) continue;
      if (ptrdiff_t(met.size()) == s.r) {
        const ptrdiff_t below = row % s.p * s.stride_h + s.r - s.top;  // of x
        const ptrdiff_t most = std::min({together, last - row, s.p - row % s.p});
        while (2 * outs <= most && below + (2 * outs - 1) * s.stride_h <= s.h) outs *= 2;
      }
      for (const Line::Run& run : line.runs())
        for (ptrdiff_t t = run.low; t < run.high; t += run.together ? run.high - run.low : 1) {
          const ptrdiff_t first = (run.x + line.offset(t) - line.offset(run.low)) * s.c;
          from.clear(), to.clear();
          for (const RowPair<T>& pair : met) {
            from.push_back(pair.x + first);
            to.push_back(partial.data() + (part * taps + pair.r * s.s + line.filter(t)) * s.c);
          }
          for (ptrdiff_t r = 0; r < (outs - 1) * s.stride_h; ++r)
            from.push_back(from.back() + s.w * s.c);
          DepthwiseAhead ahead;
          if (line.is_longest(run) && t == run.low)
            ahead = {met.back().x + (1 + (outs - 1) * s.stride_h) * s.w * s.c,
                     dy + (row + outs) * s.q * s.c,
                     lines_a_pixel(outs * s.stride_h, s.w, run.run.pixels),
                     lines_a_pixel(outs, s.q, run.run.pixels), far};
          kernel({run.run, ptrdiff_t(met.size()), outs, from.data(), to.data(),
                  dy + (row * s.q + run.first) * s.c, run.x_step * s.c, run.apart * s.c, s.q * s.c,
                  line.w_column() * s.c, s.c, ahead});
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
