// SPDX-License-Identifier: Apache-2.0
// Per-column passes over a dense matrix, see norm.h. Bound: memory.
//
// Statistics are taken of blocks that fit L2, in two passes of which the second finds its block
// there: the mean by differences from the first row, then the squares of differences from the mean,
// so that neither a large mean nor many rows cost digits. The driver joins blocks.
#include "ops/norm/norm.h"
#include "simd/write.h"

namespace striate {
namespace {

constexpr int kStrip = 4;  // vectors of columns that stay in registers over the rows

template <class T, int NV>
inline Vec<T> load_of(const T* p, int v, Mask<T> last) {
  return v == NV - 1 ? load(p + v * Vec<T>::lanes, last) : load(p + v * Vec<T>::lanes);
}
template <class T, int NV>
inline void store_of(T* p, int v, Vec<T> x, Mask<T> last) {
  if (v == NV - 1)
    store(p + v * Vec<T>::lanes, x, last);
  else
    store(p + v * Vec<T>::lanes, x);
}

// strip<NV>(args, j, mask of the last vector) over the columns.
template <class Strip, class T>
void for_strips(const BatchNormArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t j = 0;
  for (; j + kStrip * lanes <= a.n; j += kStrip * lanes)
    Strip::template run<kStrip>(a, j, first<T>(lanes));
  for (; j < a.n; j += lanes)
    Strip::template run<1>(a, j, first<T>(int(a.n - j < lanes ? a.n - j : lanes)));
}

struct Stats {
  template <int NV, class T>
  static void run(const BatchNormArgs<T>& a, ptrdiff_t j, Mask<T> last) {
    const T* x = a.x + j;
    const ptrdiff_t next = a.rows * a.n;  // the same place of the next block
    Vec<T> base[NV], total[NV], mean[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      base[v] = load_of<T, NV>(x, v, last);
      total[v] = broadcast(T(0));
    }
    for (ptrdiff_t i = 1; i < a.rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        fetch(x + i * a.n + v * Vec<T>::lanes, next);
        total[v] = total[v] + (load_of<T, NV>(x + i * a.n, v, last) - base[v]);
      }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      mean[v] = base[v] + total[v] / broadcast(T(a.rows));
      total[v] = broadcast(T(0));
    }
    for (ptrdiff_t i = 0; i < a.rows; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        Vec<T> off = load_of<T, NV>(x + i * a.n, v, last) - mean[v];
        total[v] = fma(off, off, total[v]);
      }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      store_of<T, NV>(a.out + j, v, mean[v], last);
      store_of<T, NV>(a.out2 + j, v, total[v], last);
    }
  }
};

struct Sums {
  template <int NV, class T>
  static void run(const BatchNormArgs<T>& a, ptrdiff_t j, Mask<T> last) {
    constexpr ptrdiff_t kBlock = 128;     // rows summed before they meet the total
    const ptrdiff_t next = a.rows * a.n;  // the same place of the next block
    Vec<T> mean[NV], total[NV], total2[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      mean[v] = load_of<T, NV>(a.mean + j, v, last);
      total[v] = total2[v] = broadcast(T(0));
    }
    for (ptrdiff_t i0 = 0; i0 < a.rows; i0 += kBlock) {
      ptrdiff_t i1 = i0 + kBlock < a.rows ? i0 + kBlock : a.rows;
      Vec<T> part[NV], part2[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) part[v] = part2[v] = broadcast(T(0));
      for (ptrdiff_t i = i0; i < i1; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) {
          fetch(a.dy + i * a.n + j + v * Vec<T>::lanes, next);
          fetch(a.x + i * a.n + j + v * Vec<T>::lanes, next);
          Vec<T> dy = load_of<T, NV>(a.dy + i * a.n + j, v, last);
          Vec<T> off = load_of<T, NV>(a.x + i * a.n + j, v, last) - mean[v];
          part[v] = part[v] + dy;
          part2[v] = fma(dy, off, part2[v]);
        }
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        total[v] = total[v] + part[v];
        total2[v] = total2[v] + part2[v];
      }
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) {
      store_of<T, NV>(a.out + j, v, total[v], last);
      store_of<T, NV>(a.out2 + j, v, total2[v], last);
    }
  }
};

// Rows of whole vectors, or a line would be written half past the caches, half through them.
template <class T>
bool past_caches(const BatchNormArgs<T>& a) {
  return a.n % Vec<T>::lanes == 0 && a.y != a.x && a.y != a.dy && past_caches(a.y, a.rows * a.n);
}

// Row by row, so that memory is met in order; the columns' operands come from L1.
template <class T>
void apply(const BatchNormArgs<T>& a) {
  const bool past = past_caches(a);
  for (ptrdiff_t i = 0; i < a.rows; ++i) {
    const T* x = a.x + i * a.n;
    write_run(
        a.y + i * a.n, a.n, past,
        [=](ptrdiff_t j, auto... on) {
          Vec<T> off = load(x + j, on...) - load(a.mean + j, on...);
          return fma(off, load(a.scale + j, on...), load(a.shift + j, on...));
        },
        x);
  }
  if (past) drain();
}

template <class T>
void apply_backward(const BatchNormArgs<T>& a) {
  const bool past = past_caches(a);
  for (ptrdiff_t i = 0; i < a.rows; ++i) {
    const T *x = a.x + i * a.n, *dy = a.dy + i * a.n;
    write_run(
        a.y + i * a.n, a.n, past,
        [=](ptrdiff_t j, auto... on) {
          Vec<T> off = load(x + j, on...) - load(a.mean + j, on...);
          Vec<T> through_x = fma(off, load(a.slope + j, on...), load(a.shift + j, on...));
          return fma(load(dy + j, on...), load(a.scale + j, on...), through_x);
        },
        x, dy);
  }
  if (past) drain();
}

}  // namespace
}  // namespace striate
