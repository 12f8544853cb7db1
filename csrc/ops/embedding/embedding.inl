// SPDX-License-Identifier: Apache-2.0
// The equations are in embedding.h. Sums keep four vectors of columns in registers while they run
// through the rows. Bound: memory, a row read (and for rows taken, written) once; below a row of a
// cache line, the line.
#include "ops/embedding/embedding.h"
#include "simd/row.h"

namespace striate {
namespace {

template <class T>
void take_rows(const EmbeddingRowsArgs<T>& a) {
  for (ptrdiff_t i = 0; i < a.count; ++i) {
    const T* from = a.table + a.index[i] * a.row;
    T* to = a.out + i * a.out_row;
    row_each<T>(0, a.n, [=](ptrdiff_t j, ptrdiff_t left) {
      store_first(to + j, load_filled(from + j, left, T(0)), left);
    });
  }
}

template <int NV, class T>
void sum_strip(const EmbeddingSumArgs<T>& a, ptrdiff_t j, ptrdiff_t left) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> total[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) total[v] = broadcast(T(0));
  for (ptrdiff_t k = 0; k < a.count; ++k) {
    const T* row = a.rows + (a.positions ? a.positions[k] : k) * a.row + j;
    const Vec<T> share = broadcast(a.shares ? a.shares[k] : T(1));
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v)
      total[v] = fma(share, load_filled(row + v * lanes, left - v * lanes, T(0)), total[v]);
  }
  const Vec<T> scale = broadcast(a.scale);
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v)
    store_first(a.out + j + v * lanes, scale * total[v], left - v * lanes);
}

template <class T>
void sum_rows(const EmbeddingSumArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t j = 0;
  for (; j + 4 * lanes <= a.n; j += 4 * lanes) sum_strip<4>(a, j, 4 * lanes);
  for (; j + lanes <= a.n; j += lanes) sum_strip<1>(a, j, lanes);
  if (j < a.n) sum_strip<1>(a, j, a.n - j);
}

template <class T>
void max_rows(const EmbeddingMaxArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  row_each<T>(0, a.n, [&](ptrdiff_t j, ptrdiff_t left) {
    Vec<T> best = load_filled(a.rows + a.positions[0] * a.row + j, left, T(0));
    Vec<T> at = broadcast(T(0));
    for (ptrdiff_t k = 1; k < a.count; ++k) {
      Vec<T> x = load_filled(a.rows + a.positions[k] * a.row + j, left, T(0));
      Mask<T> larger = x > best;
      best = select(larger, x, best);
      at = select(larger, broadcast(T(k)), at);
    }
    store_first(a.out + j, best, left);
    T places[lanes];
    store(places, at);
    for (ptrdiff_t i = 0; i < left; ++i) a.which[j + i] = a.positions[ptrdiff_t(places[i])];
  });
}

}  // namespace
}  // namespace striate
