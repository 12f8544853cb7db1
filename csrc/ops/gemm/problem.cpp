// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm/problem.h"

namespace striate {

GemmSizes gemm_sizes(const Operand& a, const Operand& b) {
  auto rank_of = [](const Operand& x, const char* name) {
    if (x.rank != 2 && x.rank != 3)
      fail("gemm", name, "rank 2 (rows, columns) or 3 (batch, rows, columns)", "shape " + x.text());
  };
  rank_of(a, "a"), rank_of(b, "b");
  const int fa = a.rank - 2, fb = b.rank - 2;
  const ptrdiff_t m = a.shape[fa], n = b.shape[fb + 1], k = a.shape[fa + 1];
  if (b.shape[fb] != k)
    fail("gemm", "b", std::to_string(k) + " rows, as many as a " + a.text() + " has columns",
         "shape " + b.text());
  const ptrdiff_t na = fa ? a.shape[0] : 1, nb = fb ? b.shape[0] : 1;
  if (na != nb && na != 1 && nb != 1)
    fail("gemm", "b", "a batch of " + std::to_string(na) + " or 1, as a " + a.text() + " has",
         "shape " + b.text());
  const ptrdiff_t batch = na == 1 ? nb : na;
  if (fa || fb) return {batch, m, n, k, 3, {batch, m, n}};
  return {batch, m, n, k, 2, {m, n, 0}};
}

}  // namespace striate
