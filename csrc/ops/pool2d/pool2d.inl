// SPDX-License-Identifier: Apache-2.0
// Channels are unit stride: a strip of 4 vectors of them stays in registers over the taps of a
// window. Bound: memory (one stream in, overlapping rows come from L2). Where the input comes from
// DRAM the rows that the next output row adds are asked for meanwhile: 8 x 64 x 112 x 112, 3x3 at
// every second pixel, from 24 to 46 GB/s; 2x2 from 34 to 52 (Zen 5, one core). From L3 on asking
// costs up to a quarter.
//
// A sum adds up each row of taps first, then the rows, so its error grows with R + S, not R * S.
// The gradients gather: every input asks the outputs that hold it, so that dx is written once,
// rows do not depend on each other, and the order is fixed. A maximum over few channels scatters
// instead: see scatter.h.
#include "ops/pool2d/pool2d.h"
#include "simd/row.h"
#include "simd/write.h"

namespace striate {
namespace {

constexpr int kStrip = 4;  // vectors; max with taps holds 4 maxima and 4 tap numbers

// Where the vectors of a strip lie: beside each other in a pixel, or, where one holds all of its
// channels, in outputs beside each other: 2 x 2 pixels of one vector take 40 cycles alone, 28 so.
enum class Strip { channels, outputs };

// Calls f.template strip<NV>(c, lanes of the last vector) over the channels.
template <class T, class F>
inline void for_strips(ptrdiff_t channels, F&& f) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t c = 0;
  for (; c + kStrip * lanes <= channels; c += kStrip * lanes) f.template strip<kStrip>(c, lanes);
  for (; c < channels; c += lanes)
    f.template strip<1>(c, int(channels - c < lanes ? channels - c : lanes));
}

template <class T>
inline void store_result(T* p, Vec<T> x, bool past) {
  if (past)
    stream(p, x);
  else
    store(p, x);
}

template <class T>
inline Mask<T> is_tap(const uint8_t* p, int tap, int n) {
  return equal_u8<T>(p, tap, n);
}
template <class T>
inline Mask<T> is_tap(const T* p, int tap, int n) {
  return load(p, first<T>(n)) == broadcast(T(tap));
}
template <class T>
inline void store_tap(uint8_t* p, Vec<T> x, int n) {
  store_u8(p, x, n);
}
template <class T>
inline void store_tap(T* p, Vec<T> x, int n) {
  store(p, x, first<T>(n));
}

// The windows from q on that a strip takes.
template <class T>
struct Windows {
  const PoolArgs<T>& a;
  ptrdiff_t q;
  const PoolWindow& cols() const { return a.cols[q]; }
  // From one vector of a strip to the next, in x and in y.
  template <Strip kind>
  ptrdiff_t x_step() const {
    if (kind == Strip::channels) return Vec<T>::lanes;
    return (a.cols[q + 1].begin - a.cols[q].begin) * a.x_col;
  }
  template <Strip kind>
  ptrdiff_t y_step() const {
    return kind == Strip::channels ? Vec<T>::lanes : a.y_col;
  }
};

// Calls f(windows, strips) for the windows of a row: for_strips' or, of so few channels, kStrip
// windows at once where these are alike and one step apart.
template <class T, class Make>
inline void for_windows(const PoolArgs<T>& a, Make&& make) {
  constexpr int lanes = Vec<T>::lanes;
  auto alike = [&](ptrdiff_t q) {
    const PoolWindow* w = a.cols + q;
    for (int i = 1; i < kStrip; ++i)
      if (w[i].count != w[0].count || w[i].tap != w[0].tap || w[i].padded != w[0].padded ||
          w[i].begin - w[i - 1].begin != w[1].begin - w[0].begin)
        return false;
    return true;
  };
  for (ptrdiff_t q = 0; q < a.q;) {
    auto window = make(q);
    if (a.channels <= lanes && q + kStrip <= a.q && alike(q)) {
      window.template strip<kStrip, Strip::outputs>(0, int(a.channels));
      q += kStrip;
    } else {
      for_strips<T>(a.channels, window);
      ++q;
    }
  }
  if (a.past_caches) drain();
}

template <class T, class Tap, bool kTaps>
struct MaxWindow : Windows<T> {
  Tap* taps;
  using Windows<T>::a;

  template <int NV, Strip kind = Strip::channels>
  void strip(ptrdiff_t c, int left) {
    constexpr int lanes = Vec<T>::lanes;
    constexpr bool each = kind == Strip::outputs;  // vector ends before its last lane
    const Mask<T> last = first<T>(left);
    const PoolWindow cols = this->cols();
    const ptrdiff_t x_step = this->template x_step<kind>(), y_step = this->template y_step<kind>();
    Vec<T> best[NV], tap[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      best[v] = broadcast(-T(__builtin_inff()));
      if (kTaps) tap[v] = broadcast(T(a.rows.tap * a.width + cols.tap));
    }
    for (int r = 0; r < a.rows.count; ++r) {
      const T* row = a.x + (a.rows.begin + r * a.dilation_h) * a.x_row + cols.begin * a.x_col + c;
      for (int s = 0; s < cols.count; ++s, row += a.dilation_w * a.x_col) {
        Vec<T> here = broadcast(T((a.rows.tap + r) * a.width + cols.tap + s));
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const T* p = row + v * x_step;
          Vec<T> x = each || v == NV - 1 ? load(p, last) : load(p);
          if (r >= a.ask) fetch(p, a.ahead);
          // max keeps a NaN in best. Only max and select wait for the tap before.
          Mask<T> nan = is_nan(x);
          if (kTaps) tap[v] = select(nan | (x > best[v]), here, tap[v]);
          best[v] = select(nan, x, max(x, best[v]));
        }
      }
    }
    T* y = a.y + this->q * a.y_col + c;
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      if ((each || v == NV - 1) && !a.past_caches)
        store(y + v * y_step, best[v], last);
      else
        store_result(y + v * y_step, best[v], a.past_caches);
      if (kTaps)
        store_tap(taps + this->q * a.y_col + c + v * y_step, tap[v],
                  each || v == NV - 1 ? left : lanes);
    }
  }
};

template <class T>
void max_row(const PoolArgs<T>& a) {
  if (a.taps8)
    for_windows(a, [&](ptrdiff_t q) { return MaxWindow<T, uint8_t, true>{{a, q}, a.taps8}; });
  else if (a.taps)
    for_windows(a, [&](ptrdiff_t q) { return MaxWindow<T, T, true>{{a, q}, a.taps}; });
  else
    for_windows(a, [&](ptrdiff_t q) { return MaxWindow<T, T, false>{{a, q}, nullptr}; });
}

struct Sum {
  template <class V>
  static V term(V x, V total) {
    return total + x;
  }
  template <class V>
  static V finish(V total) {
    return total;
  }
};
struct Lp2 {
  template <class V>
  static V term(V x, V total) {
    return fma(x, x, total);
  }
  template <class V>
  static V finish(V total) {
    return sqrt(total);
  }
};

template <class Kind, class T>
struct SumWindow : Windows<T> {
  using Windows<T>::a;

  template <int NV, Strip kind = Strip::channels>
  void strip(ptrdiff_t c, int left) {
    constexpr bool each = kind == Strip::outputs;  // vector ends before its last lane
    const Mask<T> last = first<T>(left);
    const PoolWindow cols = this->cols();
    const ptrdiff_t x_step = this->template x_step<kind>(), y_step = this->template y_step<kind>();
    Vec<T> total[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) total[v] = broadcast(T(0));
    for (int r = 0; r < a.rows.count; ++r) {
      const T* row = a.x + (a.rows.begin + r * a.dilation_h) * a.x_row + cols.begin * a.x_col + c;
      Vec<T> part[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) part[v] = broadcast(T(0));
      for (int s = 0; s < cols.count; ++s, row += a.dilation_w * a.x_col)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const T* p = row + v * x_step;
          if (r >= a.ask) fetch(p, a.ahead);
          part[v] = Kind::term(each || v == NV - 1 ? load(p, last) : load(p), part[v]);
        }
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) total[v] = total[v] + part[v];
    }
    T* y = a.y + this->q * a.y_col + c;
    const Vec<T> divisor = broadcast(a.row_divisor * a.col_divisor[this->q]);
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      Vec<T> result = Kind::finish(total[v] / divisor);
      if ((each || v == NV - 1) && !a.past_caches)
        store(y + v * y_step, result, last);
      else
        store_result(y + v * y_step, result, a.past_caches);
    }
  }
};

// Wide windows of many channels row by row, with the total in y: a strip would take a few lines of
// every pixel, where whole pixels are long runs.
template <class Kind, class T>
void sum_window_by_rows(const PoolArgs<T>& a, const PoolWindow& cols, T divisor, T* y) {
  constexpr int kTogether = 8;  // pixels
  const ptrdiff_t next = a.dilation_w * a.x_col;
  const int rows = cols.count > 0 ? a.rows.count : 0;
  for (ptrdiff_t c = 0; c < a.channels && rows == 0; ++c) y[c] = T(0);
  for (int r = 0; r < rows; ++r) {
    const T* row = a.x + (a.rows.begin + r * a.dilation_h) * a.x_row + cols.begin * a.x_col;
    for (int s = 0; s < cols.count; s += kTogether, row += kTogether * next) {
      const int count = cols.count - s < kTogether ? cols.count - s : kTogether;
      row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
        Vec<T> part = broadcast(T(0));
        for (int i = 0; i < count; ++i)
          part = Kind::term(load_filled(row + i * next + c, left, T(0)), part);
        if (r + s > 0) part = part + load_filled(y + c, left, T(0));
        store_first(y + c, part, left);
      });
    }
  }
  row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
    store_first(y + c, Kind::finish(load_filled(y + c, left, T(1)) / broadcast(divisor)), left);
  });
}

template <class Kind, class T>
void sum_row(const PoolArgs<T>& a) {
  constexpr ptrdiff_t kWide = 4, kMany = 2 * kStrip * Vec<T>::lanes;
  if (a.width >= kWide && a.channels >= kMany) {
    for (ptrdiff_t q = 0; q < a.q; ++q)
      sum_window_by_rows<Kind>(a, a.cols[q], a.row_divisor * a.col_divisor[q], a.y + q * a.y_col);
    return;
  }
  for_windows(a, [&](ptrdiff_t q) { return SumWindow<Kind, T>{{a, q}}; });
}

template <class T, class Tap, bool kTaps>
struct Gather {
  const PoolBackwardArgs<T>& a;
  const Tap* taps;
  ptrdiff_t w;

  template <int NV>
  void strip(ptrdiff_t c, int left) {
    constexpr int lanes = Vec<T>::lanes;
    const Mask<T> last = first<T>(left);
    Vec<T> dx[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) dx[v] = broadcast(T(0));
    for (int i = 0; i < a.row_count; ++i) {
      for (int j = a.col_begin[w]; j < a.col_begin[w + 1]; ++j) {
        const PoolHit row = a.rows[i], col = a.cols[j];
        ptrdiff_t at = row.out * a.dy_row + col.out * a.dy_col + c;
        const int tap = row.tap * a.width + col.tap;
        const Vec<T> scale = broadcast(kTaps ? T(1) : a.scale[row.out * a.q + col.out]);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const T* from = a.dy + at + v * lanes;
          Vec<T> dy = v == NV - 1 ? load(from, last) : load(from);
          if (kTaps) {
            const Mask<T> ours = is_tap<T>(taps + at + v * lanes, tap, v == NV - 1 ? left : lanes);
            dx[v] = dx[v] + select(ours, dy, broadcast(T(0)));
          } else {
            dx[v] = fma(dy, scale, dx[v]);
          }
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      T* to = a.dx + w * a.dx_col + c + v * lanes;
      if (v == NV - 1 && !a.past_caches)
        store(to, dx[v], last);
      else
        store_result(to, dx[v], a.past_caches);
    }
  }
};

// The inputs of one output, none of which another one holds.
template <class T, class Tap>
struct Spread {
  const PoolBackwardArgs<T>& a;
  const PoolWindow& window;
  ptrdiff_t at;  // the output
  const Tap* taps;

  template <int NV>
  void strip(ptrdiff_t c, int left) {
    constexpr int lanes = Vec<T>::lanes;
    const Mask<T> last = first<T>(left);
    Vec<T> dy[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      const T* from = a.dy + at + c + v * lanes;
      dy[v] = v == NV - 1 ? load(from, last) : load(from);
    }
    T* dx = a.dx + window.begin * a.dx_col + c;
    for (int s = 0; s < window.count; ++s, dx += a.dx_col) {
      const int tap = a.rows[0].tap * a.width + window.tap + s;
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        const Mask<T> ours = is_tap<T>(taps + at + c + v * lanes, tap, v == NV - 1 ? left : lanes);
        const Vec<T> part = select(ours, dy[v], broadcast(T(0)));
        if (v == NV - 1 && !a.past_caches)
          store(dx + v * lanes, part, last);
        else
          store_result(dx + v * lanes, part, a.past_caches);
      }
    }
  }
};

// Windows that do not overlap: every output writes its inputs.
template <class T, class Tap>
void max_backward_row_apart(const PoolBackwardArgs<T>& a, const Tap* taps) {
  auto clear = [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t w = begin; w < end; ++w)
      row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
        store_first(a.dx + w * a.dx_col + c, broadcast(T(0)), left);
      });
  };
  ptrdiff_t done = 0;
  for (ptrdiff_t q = 0; q < a.q && a.row_count > 0; ++q) {
    const PoolWindow& window = a.apart[q];
    if (window.count == 0) continue;
    clear(done, window.begin);
    done = window.begin + window.count;
    const ptrdiff_t at = a.rows[0].out * a.dy_row + q * a.dy_col;
    for_strips<T>(a.channels, Spread<T, Tap>{a, window, at, taps});
  }
  clear(done, a.w);
  if (a.past_caches) drain();
}

template <class T>
void max_backward_row(const PoolBackwardArgs<T>& a) {
  if (a.apart)
    return a.taps8 ? max_backward_row_apart(a, a.taps8) : max_backward_row_apart(a, a.taps);
  for (ptrdiff_t w = 0; w < a.w; ++w) {
    if (a.taps8)
      for_strips<T>(a.channels, Gather<T, uint8_t, true>{a, a.taps8, w});
    else
      for_strips<T>(a.channels, Gather<T, T, true>{a, a.taps, w});
  }
  if (a.past_caches) drain();
}

// Windows that do not overlap: every output gives its inputs their share (LeNet's average, Zen 5:
// 27 and 42 GB/s).
template <class T>
void sum_backward_row_apart(const PoolBackwardArgs<T>& a) {
  const PoolHit row = a.row_count > 0 ? a.rows[0] : PoolHit{};
  ptrdiff_t done = 0;
  for (ptrdiff_t q = 0; q <= a.q; ++q) {
    const bool ends = q == a.q || a.row_count == 0;
    const ptrdiff_t begin = ends ? a.w : a.apart[q].begin, count = ends ? 0 : a.apart[q].count;
    if (!ends && count == 0) continue;
    for (; done < begin; ++done)
      row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
        store_first(a.dx + done * a.dx_col + c, broadcast(T(0)), left);
      });
    if (ends) return;
    const T* dy = a.dy + row.out * a.dy_row + q * a.dy_col;
    const Vec<T> scale = broadcast(a.scale[row.out * a.q + q]);
    T* dx = a.dx + begin * a.dx_col;
    row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
      const Vec<T> share = load_filled(dy + c, left, T(0)) * scale;
      for (ptrdiff_t s = 0; s < count; ++s) store_first(dx + s * a.dx_col + c, share, left);
    });
    done = begin + count;
  }
}

// Pixels of many channels are long runs, written one after the other.
template <class T>
void sum_backward_row(const PoolBackwardArgs<T>& a) {
  const bool few = a.channels <= kStrip * Vec<T>::lanes;
  if (a.apart && few && !a.past_caches) return sum_backward_row_apart(a);
  for (ptrdiff_t w = 0; w < a.w; ++w) {
    const ptrdiff_t hits = a.row_count * (a.col_begin[w + 1] - a.col_begin[w]);
    if (hits != 1 || a.past_caches) {
      for_strips<T>(a.channels, Gather<T, T, false>{a, nullptr, w});
      continue;
    }
    const ptrdiff_t p = a.rows[0].out, q = a.cols[a.col_begin[w]].out;
    const T *dy = a.dy + p * a.dy_row + q * a.dy_col, scale = a.scale[p * a.q + q];
    T* dx = a.dx + w * a.dx_col;
    row_each<T>(0, a.channels, [&](ptrdiff_t c, ptrdiff_t left) {
      store_first(dx + c, load_filled(dy + c, left, T(0)) * broadcast(scale), left);
    });
  }
  if (a.past_caches) drain();
}

}  // namespace
}  // namespace striate
