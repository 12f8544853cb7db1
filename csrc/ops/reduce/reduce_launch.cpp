// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/kernel.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kRowsOfWarps = 8;
constexpr ptrdiff_t kLongestOfWarp = 1024;
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
Kernels<float> kernels_f32 = {{module, "sum_row_f32_cuda"},
                              {module, "sum_columns_f32_cuda"},
                              {module, "sum_row_f32_cuda_warp"}};
Kernels<double> kernels_f64 = {{module, "sum_row_f64_cuda"},
                               {module, "sum_columns_f64_cuda"},
                               {module, "sum_row_f64_cuda_warp"}};

Kernels<float>& kernels_of(const float*) { return kernels_f32; }
Kernels<double>& kernels_of(const double*) { return kernels_f64; }

ptrdiff_t ceil_of(ptrdiff_t a, ptrdiff_t b) { return a / b + (a % b != 0); }

}  // namespace

SumStep sum_step(bool of_columns, ptrdiff_t rows, ptrdiff_t n) {
  const ptrdiff_t along = of_columns ? rows : n;
  const ptrdiff_t part =
      std::max(of_columns ? kPartOfColumn : kPartOfRow, ceil_of(along, kMostParts));
  return {of_columns, rows, n, part, std::max<ptrdiff_t>(ceil_of(along, part), 1)};
}

void sum_launch(const cuda::Stream& stream, const SumStep& s, const Operand& x,
                const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const cuda::Operands shown = {{"x", x}};
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Kernels<T>& kernels = kernels_of(t);
    const unsigned parts = unsigned(s.parts);
    if (s.of_columns)
      kernels.columns.launch(stream, {{cuda::blocks_for(s.n, 32), parts}, {32, 8}}, shown,
                             x.as<const T>(), s.n, s.rows, s.n, s.part, out.as<T>());
    else if (s.n <= kLongestOfWarp)
      kernels.row_warp.launch(stream,
                              {{cuda::blocks_to_fill(stream, s.rows, kRowsOfWarps)}, {kThreads}},
                              shown, x.as<const T>(), s.n, s.rows, s.n, out.as<T>());
    else
      kernels.row.launch(stream, {{cuda::blocks_to_fill(stream, s.rows, 1), parts}, {kThreads}},
                         shown, x.as<const T>(), s.n, s.rows, s.n, s.part, out.as<T>());
  });
}

}  // namespace striate
