// SPDX-License-Identifier: Apache-2.0
// The kernel of dot.h over the vectors of one ISA:
//
//   C[i, j] = beta C[i, j] + bias[j] + sum over k of A[i, k] W[j, k]       i < m <= 4, j < n
//
//            W[j, k …]   W[j + 1, k …]   ...   R rows, read side by side, a vector of k at a time
//   A[0] ->  acc00       acc01                 one accumulator each, summed across at the end, as
//   A[1] ->  acc10       acc11                 many side by side as a vector has lanes
//
// Every C has a chain of its own, so its sum does not depend on what it is computed beside.
// Registers: avx512 up to 4 x 6 or 3 x 8 accumulators, avx2 8.
// Bound: memory, 4 K bytes a column for m K multiply-adds. A core of an Emerald Rapids
// reads some 130 GB/s from L2 and 25 from L3, whatever the order, streams or prefetches, which is
// why steps sweep back and forth over the weights (over_step).
#include "ops/dot/dot.h"
#include "simd/row.h"
#include "simd/write.h"

namespace striate {
namespace {

constexpr int kDotAccumulators = HERE_scalar(8) HERE_avx2(8) HERE_avx512(24);

template <class T, int M, int R>
void dot_columns(const DotRun<T>& f, ptrdiff_t j) {
  constexpr int lanes = Vec<T>::lanes, groups = (M * R + lanes - 1) / lanes;
  Vec<T> acc[groups][lanes];  // [M][R], and zeros
  for (auto& group : acc)
    for (auto& v : group) v = broadcast(T(0));
  const T* w = f.w + j * f.w_row;
  // Unsigned: a row that stands alone may have any stride.
  const auto w_ahead = ptrdiff_t(size_t(f.w_ahead) * size_t(f.w_row));
  const auto a_ahead = ptrdiff_t(size_t(f.a_ahead) * size_t(f.a.row));
  row_each<T>(0, f.k, [&](ptrdiff_t k, ptrdiff_t left) {
    Vec<T> a[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      if (f.a_ahead) fetch(f.a.at(i) + k, a_ahead);
      a[i] = load_filled(f.a.at(i) + k, left, T(0));
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      if (f.w_ahead) fetch(w + r * f.w_row + k, w_ahead);
      const Vec<T> b = load_filled(w + r * f.w_row + k, left, T(0));
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) {
        Vec<T>& sum = acc[(i * R + r) / lanes][(i * R + r) % lanes];
        sum = fma(a[i], b, sum);
      }
    }
  });
  T total[groups * lanes];  // [M][R]
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) store(total + g * lanes, sums(acc[g]));
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i)
    row_each<T>(0, R, [&](ptrdiff_t r, ptrdiff_t left) {
      T* c = f.c.at(i) + j + r;
      Vec<T> sum = load_filled(total + i * R + r, left, T(0));
      if (f.bias) sum = sum + load_filled(f.bias + j + r, left, T(0));
      if (f.beta != T(0)) sum = sum + load_filled(c, left, T(0));
      store_first(c, sum, left);
    });
}

template <class T, int M>
void dot_rows_of(const DotRun<T>& f) {
  constexpr int R = kDotAccumulators / M < 8 ? kDotAccumulators / M / 2 * 2 : 8;
  ptrdiff_t j = 0;
  for (; j + R <= f.n; j += R) dot_columns<T, M, R>(f, j);
  for (; j + 2 <= f.n; j += 2) dot_columns<T, M, 2>(f, j);
  for (; j < f.n; ++j) dot_columns<T, M, 1>(f, j);
}

template <class T>
void dot_rows(const DotRun<T>& f) {
  switch (f.a_rows) {
    case 1:
      return dot_rows_of<T, 1>(f);
    case 2:
      return dot_rows_of<T, 2>(f);
    case 3:
      return dot_rows_of<T, 3>(f);
    default:
      return dot_rows_of<T, 4>(f);
  }
}

}  // namespace
}  // namespace striate

#define DEFINE_DOT(name, T) \
  void name(const DotRun<T>& r) { dot_rows(r); }
