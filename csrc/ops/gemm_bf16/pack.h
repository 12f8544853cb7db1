// SPDX-License-Identifier: Apache-2.0
// bfloat16 matrices as the 32-bit words that a tile of gemm/tile.h multiplies.
//
//   widen   one word an element: the float32 of it, for float32's own tiles
//   pairs   one word two elements of neighbouring k, the first in the lower half, for vdpbf16ps; an
//           odd K ends with a zero
//
//   A [M, K]  ->  rows    [M][words + gap]            word w of a row: k = w, or 2 w and 2 w + 1
//   B [K, N]  ->  panels  [N / NR][words][NR], the last one zero-padded
//
// Either is one of two primitives, as k or the other axis is contiguous; elsewise elements are
// gathered. Words are typed float and only copied here, so that their bits stay.
#pragma once
#include "ops/gemm/gemm.h"

namespace striate {

enum class Words { widen, pairs };

inline ptrdiff_t words_of(Words words, ptrdiff_t k) {
  return words == Words::widen ? k : (k + 1) / 2;
}

// x(i, k) = x[i * row + k * col] for i < n, k < depth: to[i * to_row + w].
void pack_rows(Words words, const bfloat16* x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n,
               ptrdiff_t depth, float* to, ptrdiff_t to_row);

// The same words with the axes exchanged, one panel: to[w * nr + i], zeros for n <= i < nr.
void pack_panel(Words words, const bfloat16* x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n,
                ptrdiff_t depth, float* to, ptrdiff_t nr);

}  // namespace striate
