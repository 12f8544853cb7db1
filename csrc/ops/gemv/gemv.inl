// SPDX-License-Identifier: Apache-2.0
// The two directions of gemv.h over the vectors of one ISA.
//
// Bound: memory, 4 bytes of A an element of float32; x and y stay in L1.
//   rows     a step of 4 rows loads 4 vectors of A and one of x for 4 multiply-adds: 102 bytes of A
//            a cycle at two loads a cycle, where L2 gives 63
//   columns  a step of 8 columns loads 8 vectors of A and one of y, stores y: 113 bytes a cycle.
//            Several x share what was loaded of A, and are broadcast from L1 where registers end.
//            Memory is fastest in long runs, side by side: 79 MB for 4 vectors in runs of 6 KiB, 4
//            columns at a time 17 GB/s, runs of 32 KiB 20, 8 columns 30; for 2 of them 24 and 37
//            (Zen 5, one core). The register tile, whose runs are 128 bytes, gets some 9.
//
// Included by gemv_<isa>.cpp after its vec_<isa>.h.
#include "ops/gemv/gemv.h"

namespace striate {
namespace {

// Four chains a row, whatever the number of rows taken together: a row's sum is the same wherever
// it stands. (4 cycles of latency and two ports want 8 chains, which two rows are.)
template <class T, int R>
void dot_rows(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t k) {
  constexpr int lanes = Vec<T>::lanes, kChains = 4;
  Vec<T> part[R][kChains];
  for (auto& row : part)
    for (auto& p : row) p = broadcast(T(0));
  ptrdiff_t i = 0;
  for (; i + kChains * lanes <= k; i += kChains * lanes)
#pragma GCC unroll 4
    for (int c = 0; c < kChains; ++c) {
      Vec<T> xv = load(x + i + c * lanes);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r)
        part[r][c] = fma(load(a + r * stride + i + c * lanes), xv, part[r][c]);
    }
#pragma GCC unroll 4
  for (int c = 0; c < kChains; ++c) {
    if (i >= k) break;
    ptrdiff_t left = k - i;
    Mask<T> on = first<T>(int(left < lanes ? left : lanes));
    Vec<T> xv = load(x + i, on);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) part[r][c] = fma(load(a + r * stride + i, on), xv, part[r][c]);
    i += lanes;
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) y[r] = sum((part[r][0] + part[r][1]) + (part[r][2] + part[r][3]));
}

template <class T, int R>
void gemv_rows(const GemvRun<T>& r) {
  ptrdiff_t i = 0;
  for (; i + R <= r.m; i += R) dot_rows<T, R>(r.a + i * r.stride, r.stride, r.x, r.y + i, r.k);
  for (; i < r.m; ++i) dot_rows<T, 1>(r.a + i * r.stride, r.stride, r.x, r.y + i, r.k);
}

// y[j][0 … m) += columns k … k + R of A times x[j], j < N.
template <class T, int N, int R>
void add_columns(const GemvRun<T>& r, ptrdiff_t k) {
  constexpr int lanes = Vec<T>::lanes;
  const T* a = r.a + k * r.stride;
  Vec<T> x[N][R];
#pragma GCC unroll 8
  for (int j = 0; j < N; ++j)
#pragma GCC unroll 8
    for (int c = 0; c < R; ++c) x[j][c] = broadcast(r.x[j * r.x_column + k + c]);
  auto step = [&](ptrdiff_t i, auto... on) {
    Vec<T> total[N];
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) total[j] = load(r.y + j * r.y_column + i, on...);
#pragma GCC unroll 8
    for (int c = 0; c < R; ++c) {
      const Vec<T> column = load(a + c * r.stride + i, on...);
#pragma GCC unroll 8
      for (int j = 0; j < N; ++j) total[j] = fma(x[j][c], column, total[j]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < N; ++j) store(r.y + j * r.y_column + i, total[j], on...);
  };
  ptrdiff_t i = 0;
  for (; i + lanes <= r.m; i += lanes) step(i);
  if (i < r.m) step(i, first<T>(int(r.m - i)));
}

// Columns of A at a time: twice the registers hold their x, y and one of A.
constexpr int columns_together(int n, int registers) {
  int together = 8;
  while (together > 1 && n * together + n + 1 > 2 * registers) together /= 2;
  return together;
}

template <class T, int N, int Registers>
void gemv_columns_of(GemvRun<T> r) {
  constexpr int R = columns_together(N, Registers);
  constexpr ptrdiff_t kBlock = 32768 / sizeof(T);  // elements of y at a time, which L2 holds
  const ptrdiff_t m = r.m;
  for (ptrdiff_t i = 0; i < m; i += kBlock, r.a += kBlock, r.y += kBlock) {
    r.m = m - i < kBlock ? m - i : kBlock;
    for (int j = 0; j < N; ++j)
      for (ptrdiff_t e = 0; e < r.m; ++e) r.y[j * r.y_column + e] = T(0);
    ptrdiff_t k = 0;
    for (; k + R <= r.k; k += R) add_columns<T, N, R>(r, k);
    for (; k < r.k; ++k) add_columns<T, N, 1>(r, k);
  }
}

template <class T, int Registers, int N = kFewVectors>
void gemv_columns(const GemvRun<T>& r) {
  if (r.n == N) return gemv_columns_of<T, N, Registers>(r);
  if constexpr (N > 1) gemv_columns<T, Registers, N - 1>(r);
}

}  // namespace
}  // namespace striate

#define DEFINE_GEMV(name, T, direction, parameter) \
  void name(const GemvRun<T>& r) { gemv_##direction<T, parameter>(r); }
