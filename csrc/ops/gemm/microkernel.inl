// SPDX-License-Identifier: Apache-2.0
// The tile of tile.h over the vectors of one ISA: MR rows by NV vectors of accumulators.
//
//              NR = NV * lanes
//          +--------+--------+
//   A[0] ->| acc00  | acc01  |    a step of k: load NV vectors of B, then for every row broadcast
//   A[1] ->| acc10  | acc11  |    one element of A and issue NV multiply-adds
//    ...   |        |        |
//   A[MR-1]|        |        |
//          +--------+--------+
//              B[k, :]
//
// Registers: avx512 14x2: 28 accumulators + 2 B + 1 broadcast = 31 of 32 zmm.
//            avx2    6x2: 12 accumulators + 2 B + 1 broadcast = 15 of 16 ymm.
//            wide    8x3 and 4x3: 24 and 12 accumulators + 3 B + 1 broadcast, all 16 of avx2.
// Bound: 2 FMA ports x 4 cycles of latency want 8 independent chains; 28 and 12 are given. A step
// of 14x2 takes 14 cycles on the FMA ports and 2 + 14 loads of the 28 that fit beside them, which
// is why rows of A can be broadcast from where they lie and need no packing.
//
// Included by gemm_<isa>.cpp after its vec_<isa>.h.
#include <cstdint>
#include <limits>

#include "ops/gemm/tile.h"

namespace striate {
namespace {

template <class T, int NV, bool Full>
struct Columns {
  static constexpr int lanes = Vec<T>::lanes;
  Mask<T> last;

  explicit Columns(int n) : last(first<T>(n - (NV - 1) * lanes)) {}
  Vec<T> get(const T* p, int v) const {
    return !Full && v == NV - 1 ? load(p + v * lanes, last) : load(p + v * lanes);
  }
  void put(T* p, int v, Vec<T> x) const {
    if (!Full && v == NV - 1)
      store(p + v * lanes, x, last);
    else
      store(p + v * lanes, x);
  }
};

// Calls f(i, v) for every vector of the tile, unrolled, so that accumulators stay in registers.
template <int M, int NV, class F>
inline __attribute__((always_inline)) void each(F&& f) {
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) f(i, v);
}

// alpha, beta, bias and clamp, each in a pass of its own over the accumulators: one branch a tile
// instead of one a row, which short products feel.
template <class T, int M, int NV, bool Full>
inline __attribute__((always_inline)) void finish(const GemmTile<T>& t,
                                                  const Columns<T, NV, Full>& columns,
                                                  Vec<T> (&acc)[M][NV]) {
  const T no_low = -std::numeric_limits<T>::infinity();
  if (t.alpha != T(1)) {
    const Vec<T> alpha = broadcast(t.alpha);
    each<M, NV>([&](int i, int v) { acc[i][v] = alpha * acc[i][v]; });
  }
  if (t.beta == T(1)) {
    each<M, NV>([&](int i, int v) { acc[i][v] = acc[i][v] + columns.get(t.c[i], v); });
  } else if (t.beta != T(0)) {
    const Vec<T> beta = broadcast(t.beta);
    each<M, NV>([&](int i, int v) { acc[i][v] = fma(beta, columns.get(t.c[i], v), acc[i][v]); });
  }
  if (t.bias_n) {
    Vec<T> bias[NV];
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) bias[v] = columns.get(t.bias_n, v);
    each<M, NV>([&](int i, int v) { acc[i][v] = acc[i][v] + bias[v]; });
  }
  if (t.bias_m) each<M, NV>([&](int i, int v) { acc[i][v] = acc[i][v] + broadcast(t.bias_m[i]); });
  if (t.low > no_low || t.high < -no_low) {
    const Vec<T> low = broadcast(t.low), high = broadcast(t.high);
    each<M, NV>([&](int i, int v) { acc[i][v] = max(low, min(high, acc[i][v])); });
  }
  each<M, NV>([&](int i, int v) { columns.put(t.c[i], v, acc[i][v]); });
}

// acc += one step of k; row(i) is A[i, k]. B is asked for ahead (GemmTile), each line once: asking
// for both vectors of one took 8 % of 1024 cubed on a Zen 3.
template <class T, int M, int NV, bool Full, class Row>
inline __attribute__((always_inline)) void add_step(const T* b, uintptr_t b_ahead,
                                                    const Columns<T, NV, Full>& columns,
                                                    Vec<T> (&acc)[M][NV], Row&& row) {
  // An integer: beyond the array no pointer may point.
  const uintptr_t ahead = reinterpret_cast<uintptr_t>(b) + b_ahead * sizeof(T);
  Vec<T> bv[NV];
#pragma GCC unroll 4
  for (int v = 0; v < NV; ++v) {
    if (v * sizeof(Vec<T>) % 64 == 0)
      __builtin_prefetch(reinterpret_cast<const void*>(ahead + v * sizeof(Vec<T>)));
    bv[v] = columns.get(b, v);
  }
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
    Vec<T> a = broadcast(row(i));
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) acc[i][v] = fma(a, bv[v], acc[i][v]);
  }
}

// Panel: B is a panel of NV vectors a step, a_step is 1 and nothing is to be asked for but B, 8
// steps on. That leaves registers for twice as many row pointers (Granite Rapids, whose loads are
// what 14 rows are short of: 3x3 filters of 256 channels, implicit, 183 and 197 GF/s).
template <class T, int M, int NV, bool Full, PackedA Packed, bool Panel = false>
void tile(const GemmTile<T>& t) {
  const Columns<T, NV, Full> columns(t.n);
  Vec<T> acc[M][NV];  // [M, NV * lanes]
  each<M, NV>([&](int i, int v) { acc[i][v] = broadcast(T(0)); });

  // C is wanted after the products. Its lines are asked for while the first are made, a row a step:
  // all at once they take every line buffer, and A and B wait behind memory.
  auto ask = [&](ptrdiff_t i) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) __builtin_prefetch(t.c[i] + v * Vec<T>::lanes, 1);
  };
  ptrdiff_t asked = 0;
  // In L2, 8 steps of 14 cycles are time enough for a line to arrive, or 16 of 6. Unsigned: a row
  // of B that stands alone may have any stride, and 8 of it overflow.
  constexpr uintptr_t kSteps = sizeof(Vec<T>) < 64 ? 16 : 8;
  const uintptr_t ahead = t.ahead ? uintptr_t(t.ahead) : kSteps * uintptr_t(t.b_step);

  if constexpr (Packed != PackedA::no) {
    constexpr bool by_rows = Packed == PackedA::rows;
    const ptrdiff_t a_step = by_rows ? 1 : t.a_step;
    for (ptrdiff_t s = 0; s < t.segment_count; ++s) {
      const GemmSegment<T>& segment = t.segments[s];
      const T *a = segment.a[0] + segment.a_offset, *b = segment.b;
      ptrdiff_t k = segment.k;
      auto step = [&] {
        add_step<T, M, NV, Full>(b, ahead, columns, acc,
                                 [&](int i) { return a[by_rows ? i * kPackedRow<T> : i]; });
        --k, a += a_step, b += t.b_step;
      };
      while (k > 0 && asked < M) ask(asked++), step();
      while (k > 0) step();
    }
    return finish(t, columns, acc);
  }
  for (ptrdiff_t s = 0; s < t.segment_count; ++s) {
    const GemmSegment<T>& segment = t.segments[s];
    // So many row pointers don't fit the general registers. Left to itself GCC keeps some of them
    // in vector registers, and each way back takes a slot of the multiply-adds: 74 % of the peak at
    // 12 rows, 86 at 13. Read from L1 at every step they cost nothing.
    constexpr int kMost = M < 9 ? 8 : Panel ? 10 : 5, kHeld = M < kMost ? M : kMost;
    const T* held[kHeld];
#pragma GCC unroll 16
    for (int i = 0; i < kHeld; ++i) held[i] = segment.a[i];
    const T* const volatile* others = segment.a;
    const T* b = segment.b;
    ptrdiff_t at = segment.a_offset, k = segment.k;
    // A line holds as many steps as elements, so each asks for one or two rows.
    constexpr ptrdiff_t line = 64 / ptrdiff_t(sizeof(T));
    auto step = [&] {
      if (!Panel && t.a_ahead)
        for (ptrdiff_t i = k % line; i < M; i += line)
          __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(others[i]) +
                                                           uintptr_t(at + t.a_ahead) * sizeof(T)),
                             0, 2);
      add_step<T, M, NV, Full>(b, Panel ? kSteps * uintptr_t(NV * Vec<T>::lanes) : ahead, columns,
                               acc, [&](int i) { return i < kHeld ? held[i][at] : others[i][at]; });
      --k, at += Panel ? 1 : t.a_step, b += Panel ? NV * Vec<T>::lanes : t.b_step;
    };
    while (k > 0 && asked < M) ask(asked++), step();
    while (k > 0) step();
  }
  finish(t, columns, acc);
}

template <class T, int M, int NV, bool Full>
void tile_of_rows(const GemmTile<T>& t) {
  if constexpr (M > 6) {  // fewer row pointers than that stay in registers
    if (t.packed == PackedA::rows) return tile<T, M, NV, Full, PackedA::rows>(t);
    if (t.packed == PackedA::columns) return tile<T, M, NV, Full, PackedA::columns>(t);
    if constexpr (Full && NV == 2)
      if (t.b_step == NV * Vec<T>::lanes && t.a_step == 1 && !t.a_ahead && !t.ahead)
        return tile<T, M, NV, Full, PackedA::no, true>(t);
  }
  tile<T, M, NV, Full, PackedA::no>(t);
}

template <class T, int M, int NV>
void tile_of_width(const GemmTile<T>& t) {
  constexpr int lanes = Vec<T>::lanes;
  if (t.n == NV * lanes) return tile_of_rows<T, M, NV, true>(t);
  if constexpr (NV > 1) {
    if (t.n <= (NV - 1) * lanes) return tile_of_width<T, M, NV - 1>(t);
  }
  tile_of_rows<T, M, NV, false>(t);
}

// The instance for t.m rows and the fewest vectors that hold t.n columns.
template <class T, int MR, int NV>
void tile_of_size(const GemmTile<T>& t) {
  if (t.m == MR) return tile_of_width<T, MR, NV>(t);
  if constexpr (MR > 1) tile_of_size<T, MR - 1, NV>(t);
}

// Any t.m rows of NV whole vectors, A in place.
template <class T, int MR, int NV>
void wide_tile(const GemmTile<T>& t) {
  if (t.m == MR) return tile<T, MR, NV, true, PackedA::no>(t);
  if constexpr (MR > 1) wide_tile<T, MR - 1, NV>(t);
}

}  // namespace
}  // namespace striate
