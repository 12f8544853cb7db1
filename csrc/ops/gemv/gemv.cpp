// SPDX-License-Identifier: Apache-2.0
// Drives the kernels of gemv.h: x and y made contiguous, y cut between the threads, GEMM's
// epilogue.
#include "ops/gemv/gemv.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"

namespace striate {
namespace {

enum { kRows, kColumns };

const Table<Kernel> kernels{
#define ROW(name, T, isa, direction, parameter) \
  STRIATE_KERNEL(gemv, name, T, isa, VARIANT_##direction)
#define VARIANT_rows kRows
#define VARIANT_columns kColumns
#include "ops/gemv/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kSerial = 1 << 18;  // elements of A, below which a second core brings nothing
constexpr ptrdiff_t kGrain = 1 << 16;   // elements of A a task reads at least
constexpr ptrdiff_t kWidth = 8192;      // of y that a task writes, where A lies in columns: memory
                                        // is fastest in long runs

// Of y a task: kWidth at most, and as many tasks for every thread.
ptrdiff_t column_range(ptrdiff_t m) {
  const ptrdiff_t threads = num_threads(), rounds = ceil_div(m, threads * kWidth);
  return std::max<ptrdiff_t>(ceil_div(m, rounds * threads), 256);
}

// The epilogue of column j.
template <class T>
void finish(const GemmProblem<T>& p, ptrdiff_t j, T* y) {
  const Epilogue<T>& e = p.epilogue;
  for (ptrdiff_t i = 0; i < p.m; ++i) {
    T value = p.alpha * y[i];
    if (p.beta != T(0)) value += p.beta * p.c.data[i * p.c.row + j * p.c.col];
    if (e.bias) value += e.bias[e.bias_axis == BiasAxis::row ? i : j];
    y[i] = e.clamped(value);
  }
  if (e.activation) e.activation(y, y, p.m, e.parameter);
}

}  // namespace

template <class T>
void gemv(const GemmProblem<T>& p) {
  const bool in_rows = p.n == 1 && (p.a.row != 1 || (p.a.col == 1 && p.k > p.m));
  const bool bare = p.alpha == T(1) && p.beta == T(0) && p.epilogue.bias == nullptr &&
                    p.epilogue.activation == nullptr && !p.epilogue.clamps();
  const bool in_place = p.c.row == 1 && p.beta == T(0);

  Workspace<T> x_space(p.b.row == 1 ? 0 : size_t(p.k * p.n));
  Workspace<T> y_space(in_place ? 0 : size_t(p.m * p.n));
  GemvRun<T> all{
      p.a.data, in_rows ? p.a.row : p.a.col, p.b.data, y_space.data(), p.m, p.k, int(p.n), p.b.col,
      p.m};
  if (p.b.row != 1) {
    for (ptrdiff_t j = 0; j < p.n; ++j)
      for (ptrdiff_t k = 0; k < p.k; ++k)
        x_space[j * p.k + k] = p.b.data[k * p.b.row + j * p.b.col];
    all.x = x_space.data(), all.x_column = p.k;
  }
  if (in_place) all.y = p.c.data, all.y_column = p.c.col;

  GemvFn<T>* run = kernels.best(dtype_of<T>, in_rows ? kRows : kColumns).template as<GemvFn<T>>();
  auto part = [&](ptrdiff_t begin, ptrdiff_t end) {
    GemvRun<T> r = all;
    r.a += begin * p.a.row, r.y += begin, r.m = end - begin;
    run(r);
  };
  if (p.m * p.k <= kSerial)
    part(0, p.m);
  else if (in_rows)
    parallel_ranges(p.m, kGrain / p.k + 1, 4, part);
  else
    parallel_ranges(p.m, column_range(p.m), 64, part);

  for (ptrdiff_t j = 0; j < p.n; ++j) {
    T* y = all.y + j * all.y_column;
    if (!bare) finish(p, j, y);
    if (in_place) continue;
    for (ptrdiff_t i = 0; i < p.m; ++i) p.c.data[i * p.c.row + j * p.c.col] = y[i];
  }
}
template void gemv<float>(const GemmProblem<float>&);
template void gemv<double>(const GemmProblem<double>&);

}  // namespace striate
