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
#include "ops/gemm_bf16/words.h"
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

const GemmKernel* gemm_bf16_pairs() {
  for (const Way* way : ways.runnable(Dtype::bf16, 0))
    if (way->words == Words::pairs) return way;
  return nullptr;
}

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
