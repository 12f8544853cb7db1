// SPDX-License-Identifier: Apache-2.0
// The two directions of gemv.h over the vectors of one ISA.
//
// Bound: memory, 4 bytes of A an element of float32; x and y stay in L1.
//   rows     a step of 4 rows loads 4 vectors of A and one of x for 4 multiply-adds: 102 bytes of A
//            a cycle at two loads a cycle, where L2 gives 63
//   columns  a step of 8 columns loads 8 vectors of A and one of y, stores y: 113 bytes a cycle
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
void gemv_rows(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t m, ptrdiff_t k) {
  ptrdiff_t i = 0;
  for (; i + R <= m; i += R) dot_rows<T, R>(a + i * stride, stride, x, y + i, k);
  for (; i < m; ++i) dot_rows<T, 1>(a + i * stride, stride, x, y + i, k);
}

// y[0 … n) += columns k … k + R of A times x.
template <class T, int R>
void add_columns(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t n) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> xv[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) xv[r] = broadcast(x[r]);
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Vec<T> total = load(y + i);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) total = fma(xv[r], load(a + r * stride + i), total);
    store(y + i, total);
  }
  if (i == n) return;
  Mask<T> on = first<T>(int(n - i));
  Vec<T> total = load(y + i, on);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) total = fma(xv[r], load(a + r * stride + i, on), total);
  store(y + i, total, on);
}

template <class T, int R>
void gemv_columns(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t m, ptrdiff_t k) {
  constexpr ptrdiff_t kBlock = 16384 / sizeof(T);  // of y: a third of L1
  for (ptrdiff_t i = 0; i < m; i += kBlock, a += kBlock, y += kBlock) {
    ptrdiff_t n = m - i < kBlock ? m - i : kBlock, j = 0;
    for (ptrdiff_t e = 0; e < n; ++e) y[e] = T(0);
    for (; j + R <= k; j += R) add_columns<T, R>(a + j * stride, stride, x + j, y, n);
    for (; j < k; ++j) add_columns<T, 1>(a + j * stride, stride, x + j, y, n);
  }
}

}  // namespace
}  // namespace striate

#define DEFINE_GEMV(name, T, direction, together)                                       \
  void name(const T* a, ptrdiff_t stride, const T* x, T* y, ptrdiff_t m, ptrdiff_t k) { \
    gemv_##direction<T, together>(a, stride, x, y, m, k);                               \
  }
