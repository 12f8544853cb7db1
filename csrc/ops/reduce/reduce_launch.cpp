// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/blocks.h"
#include "cuda/driver/launchers.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

constexpr ptrdiff_t kPartOfRow = 16384, kPartOfColumn = 1024;  // elements added one by one
constexpr ptrdiff_t kMostParts = 65535;                        // of a grid's second axis

cuda::Module module("ops/reduce/reduce_cuda.cu");

template <class T>
using OfParts = cuda::Kernel<const T*, long long, long long, long long, long long, T*>;

template <class T>
struct Kernels {
  OfParts<T> row, columns;
  cuda::Kernel<const T*, long long, long long, long long, T*> row_warp;
};
#define KERNELS(dtype)                     \
  {{module, "sum_row_" dtype "_cuda"},     \
   {module, "sum_columns_" dtype "_cuda"}, \
   {module, "sum_row_" dtype "_cuda_warp"}}
cuda::ByDtype<Kernels> kernels_by_dtype{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS

}  // namespace

SumStep sum_step(bool of_columns, ptrdiff_t rows, ptrdiff_t n) {
  const ptrdiff_t along = of_columns ? rows : n;
  const ptrdiff_t part =
      std::max(of_columns ? kPartOfColumn : kPartOfRow, ceil_div(along, kMostParts));
  return {of_columns, rows, n, part, std::max<ptrdiff_t>(ceil_div(along, part), 1)};
}

void sum_launch(const cuda::Stream& stream, const SumStep& s, const Operand& x,
                const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const cuda::Operands shown = {{"x", x}};
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Kernels<T>& kernels = kernels_by_dtype.of(t);
    const unsigned parts = unsigned(s.parts);
    if (s.of_columns)
      kernels.columns.launch(stream, {{cuda::blocks_for(s.n, 32), parts}, {32, 8}}, shown,
                             x.as<const T>(), s.n, s.rows, s.n, s.part, out.as<T>());
    else if (cuda::warp_a_row(s.n))
      kernels.row_warp.launch(stream, cuda::grid_of_rows(stream, s.rows, s.n), shown,
                              x.as<const T>(), s.n, s.rows, s.n, out.as<T>());
    else
      kernels.row.launch(stream,
                         {{cuda::blocks_to_fill(stream, s.rows, 1), parts}, {cuda::kRowThreads}},
                         shown, x.as<const T>(), s.n, s.rows, s.n, s.part, out.as<T>());
  });
}

}  // namespace striate
