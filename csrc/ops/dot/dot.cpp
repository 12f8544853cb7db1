// SPDX-License-Identifier: Apache-2.0
// Drives the kernel of dot.h over a product: for every few rows of W all rows of A, so that W comes
// once from where it lies and again from L1 or L2, and the next rows of W are asked for meanwhile.
//
// Zen 4, one core, GF/s, and packed (B turned into panels): 4 x 2560 x 2560 40 and 22, 8 x 1024 x
// 1024 82 and 44, 16 x 1760 x 1760 82 and 55, 32 x 2560 x 2560 77 and 70, 64 x 4096 x 4096 80
// and 82. Blocks of 512 to 1536 of k were 5 to 15 % slower than none.
#include "ops/dot/dot.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(dot, name, T, isa, 0)
#include "ops/dot/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kColumns = 4;     // of C at a time: rows of W
constexpr ptrdiff_t kDepth = 8192;    // of k at a time: some rows of A stay in L2
constexpr double kGrainFlops = 5e5;   // of a task at least
constexpr double kSerialFlops = 4e6;  // below, waking a second core costs more than it brings

// The epilogue of columns j0 … j1, but for the bias of columns.
template <class T>
void finish(const GemmProblem<T>& p, ptrdiff_t j0, ptrdiff_t j1) {
  const Epilogue<T>& e = p.epilogue;
  const bool by_row = e.bias && e.bias_axis == BiasAxis::row;
  const bool clamps = e.low != Epilogue<T>().low || e.high != Epilogue<T>().high;
  for (ptrdiff_t i = 0; i < p.m; ++i) {
    T* c = p.c.data + i * p.c.row;
    for (ptrdiff_t j = j0; by_row && j < j1; ++j) c[j] += e.bias[i];
    for (ptrdiff_t j = j0; clamps && j < j1; ++j) {
      const T below = e.high < c[j] ? e.high : c[j];  // NaN stays NaN
      c[j] = e.low > below ? e.low : below;
    }
    if (e.activation) e.activation(c + j0, c + j0, j1 - j0, e.parameter);
  }
}

}  // namespace

template <class T>
DotFn<T>* dot_kernel() {
  return kernels.best(dtype_of<T>, 0).template as<DotFn<T>>();
}
template DotFn<float>* dot_kernel<float>();
template DotFn<double>* dot_kernel<double>();

template <class T>
void dot(const GemmProblem<T>& p) {
  DotFn<T>* const run = dot_kernel<T>();
  const ptrdiff_t height = ceil_div(p.m, ceil_div(p.m, kDotRows));
  const T* bias = p.epilogue.bias_axis == BiasAxis::column ? p.epilogue.bias : nullptr;
  auto part = [&](ptrdiff_t j0, ptrdiff_t j1) {
    for (ptrdiff_t k = 0; k < p.k; k += kDepth)
      for (ptrdiff_t j = j0; j < j1; j += kColumns)
        for (ptrdiff_t i = 0; i < p.m; i += height)
          run({p.b.data + j * p.b.col + k,
               p.b.col,
               std::min(kColumns, j1 - j),
               std::min(kDepth, p.k - k),
               {p.a.data + i * p.a.row + k, p.a.row},
               std::min(height, p.m - i),
               {p.c.data + i * p.c.row + j, p.c.row},
               k > 0 ? T(1) : p.beta,
               k == 0 && bias ? bias + j : nullptr,
               i == 0 ? kColumns : 0});
    finish(p, j0, j1);
  };
  const double flops = 2.0 * double(p.m) * double(p.k);
  if (flops * double(p.n) <= kSerialFlops) return part(0, p.n);
  parallel_ranges(p.n, ptrdiff_t(kGrainFlops / flops) + 1, kColumns, part);
}
template void dot<float>(const GemmProblem<float>&);
template void dot<double>(const GemmProblem<double>&);

}  // namespace striate
