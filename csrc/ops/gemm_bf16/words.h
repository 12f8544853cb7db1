// SPDX-License-Identifier: Apache-2.0
// The operands of gemm/product.h made of bfloat16: A and B become words, block by block.
#pragma once
#include <algorithm>

#include "core/blocks.h"
#include "ops/gemm/product.h"
#include "ops/gemm_bf16/gemm_bf16.h"
#include "ops/gemm_bf16/pack.h"

namespace striate {

struct WordOperands {
  const GemmBf16Problem& problem;
  Words words;
  ptrdiff_t nr, k, kc;  // k in words, as the tile steps
  ptrdiff_t nc;
  bool packs_a = true, packs_b = true, panel_by_panel = false;

  WordOperands(const GemmBf16Problem& p, Words w, ptrdiff_t tile_nr)
      : problem(p), words(w), nr(tile_nr), k(words_of(w, p.k)), nc(block_n<float>(p.m, nr)) {
    kc = k ? ceil_div(k, ceil_div(k, kPackedK<float>)) : 0;
  }

  // Where step begins in k, and how many elements of it are its own.
  ptrdiff_t begin(const ProductStep& step) const {
    return step.k0 * (words == Words::pairs ? 2 : 1);
  }
  ptrdiff_t depth(const ProductStep& step) const {
    return std::min(step.k * (words == Words::pairs ? 2 : 1), problem.k - begin(step));
  }

  NextBlock<float> next(const ProductStep&, const BlockOfC&) const { return {}; }

  RowsOfA<float> rows(const ProductStep& step, ptrdiff_t i0, ptrdiff_t i1, float* space) const {
    const Matrix<const bfloat16>& a = problem.a;
    pack_rows(words, a.data + i0 * a.row + begin(step) * a.col, a.row, a.col, i1 - i0, depth(step),
              space, kPackedRow<float>);
    return {space, kPackedRow<float>, 1};
  }

  PanelsOfB<float> panels(const ProductStep& step, ptrdiff_t j0, ptrdiff_t j1, float* space) const {
    const Matrix<const bfloat16>& b = problem.b;
    const ptrdiff_t panel = step.k * nr;
    float* to = space;
    for (ptrdiff_t j = j0; j < j1; j += nr, to += panel)
      pack_panel(words, b.data + begin(step) * b.row + j * b.col, b.col, b.row,
                 std::min(nr, j1 - j), depth(step), to, nr);
    return {space, panel, nr};
  }
};

// The tile over pairs; null where no instruction set here has one, or another way is pinned.
const GemmKernel* gemm_bf16_pairs();

}  // namespace striate
