// SPDX-License-Identifier: Apache-2.0
// Drives the kernel of dot.h over a product. Of its operands one has few rows or columns, is near
// (L2) and is copied if it does not lie along k; the other one comes once from where it lies, some
// rows at a time, and the next are asked for meanwhile.
//
//   few rows     for every 12 columns of C, which are rows of W, all rows of A
//   few columns  for every 4 rows of A all columns of C
//
// Zen 4, one core, GF/s, and packed (B turned into panels): 4 x 2560 x 2560 40 and 22, 8 x 1024 x
// 1024 82 and 44, 16 x 1760 x 1760 82 and 55, 32 x 2560 x 2560 77 and 70, 64 x 4096 x 4096 80
// and 82. Blocks of 512 to 1536 of k were 5 to 15 % slower than none. Those were 4 columns at a
// time, which the kernel takes two by two; 12 it takes by six, and rows of A come from L2 a third
// as often (Zen 5: 4 x 2560 x 2560 76 and 92, 16 x 1760 x 1760 130 and 166, 49 x 2048 x 512 140 and
// 221, where panels make 214).
#include "ops/dot/dot.h"

#include <algorithm>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(dot, name, T, isa, 0)
#include "ops/dot/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kColumns = 12;    // of C at a time, of few rows
constexpr ptrdiff_t kNear = 1 << 16;  // elements of the near operand at a time: L2
constexpr double kGrainFlops = 5e5;   // of a task at least
constexpr double kSerialFlops = 4e6;  // below, waking a second core costs more than it brings

// The epilogue of a part of C, but for the bias of columns.
template <class T>
void finish(const GemmProblem<T>& p, ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0, ptrdiff_t j1) {
  const Epilogue<T>& e = p.epilogue;
  const bool by_row = e.bias && e.bias_axis == BiasAxis::row, clamps = e.clamps();
  for (ptrdiff_t i = i0; i < i1; ++i) {
    T* c = p.c.data + i * p.c.row;
    for (ptrdiff_t j = j0; by_row && j < j1; ++j) c[j] += e.bias[i];
    for (ptrdiff_t j = j0; clamps && j < j1; ++j) c[j] = e.clamped(c[j]);
    if (e.activation) e.activation(c + j0, c + j0, j1 - j0, e.parameter);
  }
}

// x [rows, k], any strides, along k.
template <class T>
class AlongK {
 public:
  AlongK(const Matrix<const T>& x, ptrdiff_t rows, ptrdiff_t k)
      : copy_(x.col == 1 ? 0 : size_t(rows * k)), rows_{x.data, x.row} {
    if (x.col == 1) return;
    rows_ = {copy_.data(), k};
    if (x.row == 1) transpose_kernel<T>()(x.data, x.col, k, rows, copy_.data(), k);
    for (ptrdiff_t i = 0; x.row != 1 && i < rows; ++i)
      for (ptrdiff_t j = 0; j < k; ++j) copy_[size_t(i * k + j)] = x.data[i * x.row + j * x.col];
  }
  Rows<const T> rows() const { return rows_; }

 private:
  Workspace<T> copy_;
  Rows<const T> rows_;
};

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
  const bool few_rows = p.m <= p.n;
  const AlongK<T> a({p.a.data, p.a.row, few_rows ? p.a.col : 1, 0}, p.m, p.k);
  const AlongK<T> w({p.b.data, p.b.col, few_rows ? 1 : p.b.row, 0}, p.n, p.k);
  const ptrdiff_t height = ceil_div(p.m, ceil_div(p.m, kDotRows));
  const ptrdiff_t width = few_rows ? kColumns : p.n;
  const ptrdiff_t depth = std::max(kNear / std::min(p.m, p.n) / 64 * 64, ptrdiff_t(64));
  const T* bias = p.epilogue.bias_axis == BiasAxis::column ? p.epilogue.bias : nullptr;

  auto part = [&](ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t j0, ptrdiff_t j1) {
    for (ptrdiff_t k = 0; k < p.k; k += depth)
      for (ptrdiff_t j = j0; j < j1; j += width)
        for (ptrdiff_t i = i0; i < i1; i += height)
          run({w.rows().at(j) + k,
               w.rows().row,
               std::min(width, j1 - j),
               std::min(depth, p.k - k),
               a.rows().from(i, k),
               std::min(height, i1 - i),
               {p.c.data + i * p.c.row + j, p.c.row},
               k > 0 ? T(1) : p.beta,
               k == 0 && bias ? bias + j : nullptr,
               few_rows && i == 0 ? width : 0,
               few_rows ? 0 : height});
    finish(p, i0, i1, j0, j1);
  };
  const double flops = 2.0 * double(p.m) * double(p.n) * double(p.k);
  const ptrdiff_t across = few_rows ? p.n : p.m, grain = few_rows ? kColumns : height;
  auto share = [&](ptrdiff_t begin, ptrdiff_t end) {
    few_rows ? part(0, p.m, begin, end) : part(begin, end, 0, p.n);
  };
  if (flops <= kSerialFlops) return share(0, across);
  parallel_ranges(across, ptrdiff_t(kGrainFlops / flops * double(across)) + 1, grain, share);
}
template void dot<float>(const GemmProblem<float>&);
template void dot<double>(const GemmProblem<double>&);

}  // namespace striate
