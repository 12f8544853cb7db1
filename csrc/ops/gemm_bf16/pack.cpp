// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm_bf16/pack.h"

#include <cstring>

#include "core/memory.h"
#include "ops/cast/cast.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

// Words of matrices whose k lies side by side: to[i * to_row + w].
void along(Words words, const bfloat16* x, ptrdiff_t row, ptrdiff_t n, ptrdiff_t depth, float* to,
           ptrdiff_t to_row) {
  if (words == Words::widen) return widen_kernel()(x, row, n, depth, to, to_row);
  for (ptrdiff_t i = 0; i < n; ++i, x += row, to += to_row) {
    if (depth % 2) to[depth / 2] = 0;
    std::memcpy(to, x, size_t(depth) * sizeof(bfloat16));
  }
}

// Words of matrices whose i lies side by side: to[w * to_row + i].
void across(Words words, const bfloat16* x, ptrdiff_t col, ptrdiff_t n, ptrdiff_t depth, float* to,
            ptrdiff_t to_row) {
  if (words == Words::widen) return widen_kernel()(x, col, depth, n, to, to_row);
  for (ptrdiff_t k = 0; k < depth; k += 2, x += 2 * col, to += to_row) {
    const bfloat16* next = x + (k + 1 < depth ? col : 0);
    const uint32_t keep = k + 1 < depth ? 0xffffffff : 0xffff;
    for (ptrdiff_t i = 0; i < n; ++i) {
      const uint32_t pair = (x[i].bits | uint32_t(next[i].bits) << 16) & keep;
      std::memcpy(to + i, &pair, sizeof pair);
    }
  }
}

// Elements anywhere, k side by side.
Workspace<bfloat16> gathered(const bfloat16* x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n,
                             ptrdiff_t depth) {
  Workspace<bfloat16> space(size_t(n) * size_t(depth));
  for (ptrdiff_t i = 0; i < n; ++i)
    for (ptrdiff_t k = 0; k < depth; ++k) space[size_t(i * depth + k)] = x[i * row + k * col];
  return space;
}

}  // namespace

void pack_rows(Words words, const bfloat16* x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n,
               ptrdiff_t depth, float* to, ptrdiff_t to_row) {
  if (n == 0 || depth == 0) return;
  if (col == 1 || depth == 1) return along(words, x, row, n, depth, to, to_row);
  if (row == 1 || n == 1) {
    const ptrdiff_t w = words_of(words, depth);
    Workspace<float> space(size_t(w) * size_t(n));
    across(words, x, col, n, depth, space.data(), n);
    return transpose_kernel<float>()(space.data(), n, w, n, to, to_row);
  }
  along(words, gathered(x, row, col, n, depth).data(), depth, n, depth, to, to_row);
}

void pack_panel(Words words, const bfloat16* x, ptrdiff_t row, ptrdiff_t col, ptrdiff_t n,
                ptrdiff_t depth, float* to, ptrdiff_t nr) {
  if (n == 0 || depth == 0) return;
  const ptrdiff_t w = words_of(words, depth);
  if (n < nr) std::memset(to, 0, size_t(w * nr) * sizeof(float));
  if (row == 1 || n == 1) return across(words, x, col, n, depth, to, nr);
  Workspace<float> space(size_t(w) * size_t(n));
  if (col == 1 || depth == 1)
    along(words, x, row, n, depth, space.data(), w);
  else
    along(words, gathered(x, row, col, n, depth).data(), depth, n, depth, space.data(), w);
  transpose_kernel<float>()(space.data(), w, n, w, to, nr);
}

}  // namespace striate
