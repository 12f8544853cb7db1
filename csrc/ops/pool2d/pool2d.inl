// SPDX-License-Identifier: Apache-2.0
// Channels are unit stride: a strip of 4 vectors of them stays in registers over the taps of a
// window. Bound: memory (one stream in, overlapping rows come from L2).
//
// A sum adds up each row of taps first, then the rows, so its error grows with R + S, not R * S.
// The gradients gather: every input asks the outputs that hold it, so that dx is written once,
// rows do not depend on each other, and the order is fixed. A maximum over few channels scatters
// instead: see scatter.h.
#include "ops/pool2d/pool2d.h"

namespace striate {
namespace {

constexpr int kStrip = 4;  // vectors; max with taps holds 4 maxima and 4 tap numbers

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

inline void load_tap(const uint8_t* p, Vec<float>& x, int n) { x = load_u8<float>(p, n); }
inline void load_tap(const uint8_t* p, Vec<double>& x, int n) { x = load_u8<double>(p, n); }
template <class T>
inline void load_tap(const T* p, Vec<T>& x, int n) {
  x = load(p, first<T>(n));
}
template <class T>
inline void store_tap(uint8_t* p, Vec<T> x, int n) {
  store_u8(p, x, n);
}
template <class T>
inline void store_tap(T* p, Vec<T> x, int n) {
  store(p, x, first<T>(n));
}

template <class T, class Tap, bool kTaps>
struct MaxWindow {
  const PoolArgs<T>& a;
  PoolWindow cols;
  T* y;
  Tap* taps;

  template <int NV>
  void strip(ptrdiff_t c, int left) {
    constexpr int lanes = Vec<T>::lanes;
    const Mask<T> last = first<T>(left);
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
          Vec<T> x = v == NV - 1 ? load(row + v * lanes, last) : load(row + v * lanes);
          // max keeps a NaN in best. Only max and select wait for the tap before.
          Mask<T> nan = is_nan(x);
          if (kTaps) tap[v] = select(nan | (x > best[v]), here, tap[v]);
          best[v] = select(nan, x, max(x, best[v]));
        }
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      if (v == NV - 1 && !a.past_caches)
        store(y + c + v * lanes, best[v], last);
      else
        store_result(y + c + v * lanes, best[v], a.past_caches);
      if (kTaps) store_tap(taps + c + v * lanes, tap[v], v == NV - 1 ? left : lanes);
    }
  }
};

template <class T>
void max_row(const PoolArgs<T>& a) {
  for (ptrdiff_t q = 0; q < a.q; ++q) {
    ptrdiff_t at = q * a.y_col;
    if (a.taps8)
      for_strips<T>(a.channels, MaxWindow<T, uint8_t, true>{a, a.cols[q], a.y + at, a.taps8 + at});
    else if (a.taps)
      for_strips<T>(a.channels, MaxWindow<T, T, true>{a, a.cols[q], a.y + at, a.taps + at});
    else
      for_strips<T>(a.channels, MaxWindow<T, T, false>{a, a.cols[q], a.y + at, nullptr});
  }
  if (a.past_caches) drain();
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
struct SumWindow {
  const PoolArgs<T>& a;
  PoolWindow cols;
  T divisor;
  T* y;

  template <int NV>
  void strip(ptrdiff_t c, int left) {
    constexpr int lanes = Vec<T>::lanes;
    const Mask<T> last = first<T>(left);
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
        for (int v = 0; v < NV; ++v)
          part[v] = Kind::term(v == NV - 1 ? load(row + v * lanes, last) : load(row + v * lanes),
                               part[v]);
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) total[v] = total[v] + part[v];
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      Vec<T> result = Kind::finish(total[v] / broadcast(divisor));
      if (v == NV - 1 && !a.past_caches)
        store(y + c + v * lanes, result, last);
      else
        store_result(y + c + v * lanes, result, a.past_caches);
    }
  }
};

template <class Kind, class T>
void sum_row(const PoolArgs<T>& a) {
  for (ptrdiff_t q = 0; q < a.q; ++q)
    for_strips<T>(a.channels, SumWindow<Kind, T>{a, a.cols[q], a.row_divisor * a.col_divisor[q],
                                                 a.y + q * a.y_col});
  if (a.past_caches) drain();
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
        Vec<T> here = kTaps ? broadcast(T(row.tap * a.width + col.tap))
                            : broadcast(T(1) / (a.row_divisor[row.out] * a.col_divisor[col.out]));
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          const T* from = a.dy + at + v * lanes;
          Vec<T> dy = v == NV - 1 ? load(from, last) : load(from);
          if (kTaps) {
            Vec<T> tap;
            load_tap(taps + at + v * lanes, tap, v == NV - 1 ? left : lanes);
            dx[v] = dx[v] + select(tap == here, dy, broadcast(T(0)));
          } else {
            dx[v] = fma(dy, here, dx[v]);
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

template <class T>
void max_backward_row(const PoolBackwardArgs<T>& a) {
  for (ptrdiff_t w = 0; w < a.w; ++w) {
    if (a.taps8)
      for_strips<T>(a.channels, Gather<T, uint8_t, true>{a, a.taps8, w});
    else
      for_strips<T>(a.channels, Gather<T, T, true>{a, a.taps, w});
  }
  if (a.past_caches) drain();
}

template <class T>
void sum_backward_row(const PoolBackwardArgs<T>& a) {
  for (ptrdiff_t w = 0; w < a.w; ++w) for_strips<T>(a.channels, Gather<T, T, false>{a, nullptr, w});
  if (a.past_caches) drain();
}

}  // namespace
}  // namespace striate
