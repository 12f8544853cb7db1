// SPDX-License-Identifier: Apache-2.0
// Drives a register tile over a product of bfloat16, by gemm/product.h: A and B become words
// (pack.h), block by block, which the tile wants anyway.
//
// Methods:
//   widen   words are float32, and float32's own tile multiplies: any instruction set. Packing
//           widens, so the product costs what float32's costs, and less where memory bounds it.
//   pairs   words are two neighbours in k, for vdpbf16ps: half of widen's time or double, as the
//           chip has it (isa.h's bf16_dot_pays()).
#include "ops/gemm_bf16/gemm_bf16.h"

#include "ops/cast/cast.h"
#include "ops/gemm/product.h"
#include "ops/gemm_bf16/pack.h"
#include "ops/layout/layout.h"

namespace striate {

#define ROW(name, T, isa, mr, nr) STRIATE_WITH_##isa(void name(const GemmTile<float>&);)
#include "ops/gemm_bf16/kernels.inc"
#undef ROW

namespace {

// Kernels and methods in one table, so that a kernel's name chooses its method too.
struct Way : GemmKernel {
  Words words;
};
const Table<Way> ways{
#define ROW(name, T, isa, mr, nr)                                                    \
  STRIATE_WITH_##isa(Way{{{{"gemm_bf16", "kernel", #name, dtype_of<T>, Isa::isa, 0}, \
                           reinterpret_cast<void (*)()>(name)},                      \
                          mr,                                                        \
                          nr},                                                       \
                         Words::pairs}, )
#include "ops/gemm_bf16/kernels.inc"
#undef ROW
#define ROW(name, words) \
  Way{{{{"gemm_bf16", "method", #name, Dtype::bf16, Isa::scalar, 0}, nullptr}, 0, 0}, Words::words},
#include "ops/gemm_bf16/methods.inc"
#undef ROW
};

// Cycles a vector of C and element of k, in those of a float32 multiply-add.
double cost(Words words) { return words == Words::widen ? 1 : bf16_dot_pays() ? 0.5 : 2; }

const Way& choose() {
  const Way* chosen = nullptr;
  for (const Way* way : ways.runnable(Dtype::bf16, 0))
    if (!chosen || cost(way->words) < cost(chosen->words)) chosen = way;
  return *chosen;
}

// A and B in words.
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

void multiply(const GemmBf16Problem& p) {
  const Way& way = choose();
  const GemmKernel& kernel = way.words == Words::widen ? gemm_kernel(Dtype::f32) : way;
  Product<float, WordOperands>({p, way.words, kernel.nr}, kernel).run();
}

Operand operand(float* data, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col) {
  return {data, Dtype::f32, 2, {m, n}, {row, col}};
}

// One product whose C may lie anyhow: rows of float32 side by side, by transposing or by a copy.
void gemm_one(GemmBf16Problem p) {
  if (p.c.data) {
    if (p.n == 1) p.c.col = 1;
    if (p.c.col == 1) return multiply(p);
    if (p.c.row == 1) return multiply(transposed(p));
  }
  Workspace<float> space(size_t(p.m) * size_t(p.n));
  const Operand ours = operand(space.data(), p.m, p.n, p.n, 1);
  Operand theirs = operand(p.c.data, p.m, p.n, p.c.row, p.c.col);
  if (p.c.data == nullptr)
    theirs = {p.narrow_c.data, Dtype::bf16, 2, {p.m, p.n}, {p.narrow_c.row, p.narrow_c.col}};
  auto move = [](const Operand& from, const Operand& to) {
    from.dtype == to.dtype ? copy(from, to) : cast(from, to);
  };
  if (p.beta != 0) move(theirs, ours);
  p.c = {space.data(), p.n, 1, 0};
  multiply(p);
  move(ours, theirs);
}

}  // namespace

void gemm_bf16(const GemmBf16Problem& problem) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;
  FlushDenormals flush;
  over_batch(problem, [&](ptrdiff_t i) {
    GemmBf16Problem p = problem;
    p.a.data += i * p.a.batch;
    p.b.data += i * p.b.batch;
    if (p.c.data) p.c.data += i * p.c.batch;
    if (p.narrow_c.data) p.narrow_c.data += i * p.narrow_c.batch;
    gemm_one(p);
  });
}

}  // namespace striate
