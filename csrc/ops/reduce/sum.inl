// SPDX-License-Identifier: Apache-2.0
// sum_row:      out[0] (+)= sum of x[0 … n)           unit stride
// sum_columns:  out[j] (+)= sum over i of x[i * row + j]
//
// Bound: memory (one stream). An addition has 4 cycles of latency and two ports, so 8 vectors of
// partial sums keep up with L1. Columns go in strips of 4 vectors that stay in registers over a
// block of rows; blocks are added up one level higher, in out.
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

template <class T>
void sum_row(const SumArgs<T>& args) {
  constexpr int lanes = Vec<T>::lanes;
  constexpr int kChains = 8;
  const T* x = args.x;
  Vec<T> part[kChains];
  for (auto& p : part) p = broadcast(T(0));
  ptrdiff_t i = 0;
  for (; i + kChains * lanes <= args.n; i += kChains * lanes)
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) part[c] = part[c] + load(x + i + c * lanes);
  for (int c = 0; i < args.n; ++c, i += lanes) {
    ptrdiff_t left = args.n - i;
    Mask<T> on = first<T>(int(left < lanes ? left : lanes));
    part[c] = part[c] + load(x + i, on);
  }
  for (int step = kChains / 2; step > 0; step /= 2)
    for (int c = 0; c < step; ++c) part[c] = part[c] + part[c + step];
  T total = sum(part[0]);
  args.out[0] = args.accumulate ? args.out[0] + total : total;
}

template <class T, int NV>
void sum_strip(const SumArgs<T>& args, ptrdiff_t j, Mask<T> last) {
  constexpr int lanes = Vec<T>::lanes;
  constexpr ptrdiff_t kBlock = 256;  // rows summed before they meet the total
  Vec<T> total[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    T* out = args.out + j + v * lanes;
    total[v] = !args.accumulate ? broadcast(T(0)) : v == NV - 1 ? load(out, last) : load(out);
  }
  for (ptrdiff_t i0 = 0; i0 < args.rows; i0 += kBlock) {
    ptrdiff_t i1 = i0 + kBlock < args.rows ? i0 + kBlock : args.rows;
    Vec<T> part[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) part[v] = broadcast(T(0));
    for (ptrdiff_t i = i0; i < i1; ++i) {
      const T* x = args.x + i * args.row + j;
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v)
        part[v] = part[v] + (v == NV - 1 ? load(x + v * lanes, last) : load(x + v * lanes));
    }
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) total[v] = total[v] + part[v];
  }
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    T* out = args.out + j + v * lanes;
    if (v == NV - 1)
      store(out, total[v], last);
    else
      store(out, total[v]);
  }
}

template <class T>
void sum_columns(const SumArgs<T>& args) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t j = 0;
  for (; j + 4 * lanes <= args.n; j += 4 * lanes) sum_strip<T, 4>(args, j, first<T>(lanes));
  for (; j < args.n; j += lanes) {
    ptrdiff_t left = args.n - j;
    sum_strip<T, 1>(args, j, first<T>(int(left < lanes ? left : lanes)));
  }
}

}  // namespace
}  // namespace striate
