// SPDX-License-Identifier: Apache-2.0
// The second half of a product that was cut along K (gemm_cuda.h): the parts are added up in their
// order, so that every run gives the same bits, and become C = clamp(alpha sum + beta C + bias).
//
// Bound: memory, parts + 1 streams (beta != 0: another), 16 bytes an access where n is a multiple
// of 4.
//
// gemm_parts_{f32,bf16,f16}_cuda(GemmCuda, parts)   C of that type
// gemm_parts_f64_cuda(GemmOf<double>, parts)
//   a is the workspace of sums: dense rows of n, matrices a_batch apart, parts c_part apart;
//   k, b, a_ld, k_part are not read
//   block 256, grid (any; ceil(m * ceil(n / 4) / 256) or less, batch)
// No shared memory.
#include "cuda/device/row.cuh"
#include "ops/gemm/gemm_tile.cuh"

namespace striate {

template <class C, class R>
inline void add_parts(GemmOf<R> g, int64 parts) {
  constexpr int kPack = Pack<R>::size;
  const R* first = static_cast<const R*>(g.a) + blockIdx.y * g.a_batch;
  g.k_part = 0;
  const int runs = ceil_div(g.n, kPack);
  const int64 step = int64(gridDim.x) * blockDim.x;
  for (int64 i = int64(blockIdx.x) * blockDim.x + threadIdx.x; i < int64(g.m) * runs; i += step) {
    const int row = int(i / runs), col = int(i - int64(row) * runs) * kPack;
    const R* from = first + int64(row) * g.n;
    Pack<R> sum = load_row(from, col, g.n, R(0));
#pragma unroll 4
    for (int64 part = 1; part < parts; ++part) {
      const Pack<R> x = load_row(from + part * g.c_part, col, g.n, R(0));
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum.at[e] += x.at[e];
    }
    write_run(g, static_cast<C*>(g.c), dense_rows(g), row, col, sum.at);
  }
}

}  // namespace striate

#define KERNEL(dtype, C, R)                                                 \
  extern "C" __global__ void __launch_bounds__(256)                         \
      gemm_parts_##dtype##_cuda(striate::GemmOf<R> args, long long parts) { \
    striate::add_parts<C>(args, parts);                                     \
  }
KERNEL(f32, float, float)
KERNEL(f64, double, double)
KERNEL(bf16, striate::bfloat16, float)
KERNEL(f16, striate::float16, float)
