// SPDX-License-Identifier: Apache-2.0
// The register tile that GEMM, convolution and the recurrent layers are built from: a batch-reduce
// product with A by row pointers.
//
//   C[i, j] = clamp(alpha * sum over segments s, k < k_s of A_s[i, k] * B_s[k, j]
//                   + beta * C[i, j] + bias, low, high)          i < m <= MR, j < n <= NR
//
//   A_s[i, k] = s.a[i][s.a_offset + k * a_step]    a row is a pointer: a matrix row, a pixel of an
//                                                  image, or a row of zeros for padding
//   B_s[k, j] = s.b[k * b_step + j]                unit stride along j
//   C[i, j]   = c[i][j]                            unit stride along j; rows anywhere
//
// Any alignment. C overlaps neither A nor B. With beta == 0 C is not read. Nothing outside the
// stated elements is read or written, except that the m row pointers of a segment are read whole.
// GEMM is one segment; a convolution has one a filter tap (forward) or one an image row (weight
// gradient). The idea of one batch-reduce building block for all of them is Georganas et al.,
// "High- performance deep learning via a single building block" (2019); rows by pointer is
// XNNPACK's indirect GEMM (Dukhan 2019).
#pragma once
#include <cstddef>

#include "core/registry.h"

namespace striate {

template <class T>
struct GemmSegment {
  const T* const* a;   // [m] row pointers
  ptrdiff_t a_offset;  // elements added to every row pointer
  const T* b;
  ptrdiff_t k;
};

// How a tile's rows of A lie, where the compiler knows: rows kPackedRow<T> apart and a_step 1, or
// columns, one value behind the other, a_step apart. Pointers take a load each from seven rows on.
enum class PackedA { no, rows, columns };

template <class T>
struct GemmTile {
  const GemmSegment<T>* segments;
  ptrdiff_t segment_count;
  ptrdiff_t a_step, b_step;
  T* const* c;  // [m] row pointers
  int m, n;
  T alpha, beta;
  const T* bias_n;  // [n], one a column, or null
  const T* bias_m;  // [m], one a row, or null
  T low, high;      // -inf, inf: no clamp. NaN stays NaN.
  PackedA packed = PackedA::no;
  // Elements from a step's row of B to what is asked for meanwhile; 0: 100 cycles of steps.
  ptrdiff_t ahead = 0;
  // The same for rows of A, where a_step is 1 and they are not packed; 0: nothing is asked for.
  ptrdiff_t a_ahead = 0;
};

// Where rows lie at a distance that the compiler knows, they need one register for all. A packed
// block of A holds kPackedK<T> steps of k at most; a line between rows keeps them out of the same
// sets of L1.
template <class T>
constexpr ptrdiff_t kPackedK = 2048 / sizeof(T);
template <class T>
constexpr ptrdiff_t kPackedRow = kPackedK<T> + 64 / ptrdiff_t(sizeof(T));

// From one packed panel to the next: a line more than it holds, since panels of whole KiB, written
// side by side, would share the sets of L1.
template <class T>
constexpr ptrdiff_t packed_panel(ptrdiff_t k, ptrdiff_t nr) {
  return k * nr + 64 / ptrdiff_t(sizeof(T));
}

struct GemmKernel : Kernel {
  int mr, nr;
  template <class T>
  void run(const GemmTile<T>& t) const {
    as<void(const GemmTile<T>&)>()(t);
  }
};

// square: what everything is built from. wide: few rows beside three vectors of columns, of which
// all are there, by a path of its own (wide.h); rows of A are not packed.
enum class TileShape { square, wide };

// The preferred tile on this machine.
const GemmKernel& gemm_kernel(Dtype dtype, TileShape shape = TileShape::square);

constexpr int kMaxTileRows = 16;

#define ROW(name, T, isa, mr, nr, shape) STRIATE_WITH_##isa(void name(const GemmTile<T>&);)
#include "ops/gemm/kernels.inc"
#undef ROW

}  // namespace striate
