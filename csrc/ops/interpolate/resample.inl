// SPDX-License-Identifier: Apache-2.0
// Channels are unit stride: a strip of 4 vectors of them is summed in registers over the taps of a
// pixel, first along each row, then over the rows. Bound: two loads a cycle (a bilinear pixel reads
// four of each channel, from L1 or L2) or, for large results, the stores; a vector of a bilinear
// pixel takes 4 loads, 6 multiply-adds and 1 store. With fewer channels than lanes, the rest of the
// vector is idle.
//
// The first tap is multiplied, not added to 0, so that a weight of 1 copies every bit (-0 too).
#include "ops/interpolate/interpolate.h"

namespace striate {
namespace {

constexpr int kStrip = 4;  // vectors; 4 totals and 4 partial sums of rows

template <class T>
struct Pixel {
  const ResampleArgs<T>& a;
  const ResampleTap<T>* cols;
  ptrdiff_t count;
  T* y;

  template <int NV>
  void strip(ptrdiff_t c, int left) const {
    constexpr int lanes = Vec<T>::lanes;
    const Mask<T> last = first<T>(left);
    Vec<T> total[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) total[v] = broadcast(T(0));
    for (ptrdiff_t r = 0; r < a.row_count; ++r) {
      const T* row = a.x + a.rows[r].at + c;
      const Vec<T> weight = broadcast(a.rows[r].weight);
      Vec<T> part[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) part[v] = broadcast(T(0));
      for (ptrdiff_t s = 0; s < count; ++s) {
        const T* from = row + cols[s].at;
        const Vec<T> w = broadcast(cols[s].weight);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          Vec<T> x = v == NV - 1 ? load(from + v * lanes, last) : load(from + v * lanes);
          part[v] = s == 0 ? w * x : fma(w, x, part[v]);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        total[v] = r == 0 ? weight * part[v] : fma(weight, part[v], total[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      if (v == NV - 1)
        store(y + c + v * lanes, total[v], last);
      else
        store(y + c + v * lanes, total[v]);
    }
  }
};

template <class T>
void resample_row(const ResampleArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  for (ptrdiff_t q = 0; q < a.q; ++q) {
    const ptrdiff_t begin = a.col_begin[q];
    const Pixel<T> pixel{a, a.cols + begin, a.col_begin[q + 1] - begin, a.y + q * a.y_col};
    ptrdiff_t c = 0;
    for (; c + kStrip * lanes <= a.channels; c += kStrip * lanes)
      pixel.template strip<kStrip>(c, lanes);
    for (; c < a.channels; c += lanes)
      pixel.template strip<1>(c, int(a.channels - c < lanes ? a.channels - c : lanes));
  }
}

}  // namespace
}  // namespace striate
