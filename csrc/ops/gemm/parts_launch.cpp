// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/blocks.h"
#include "cuda/driver/kernel.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/parts.h"

namespace striate {
namespace {

constexpr ptrdiff_t kLongest = 16384, kStep = 32;  // of a part; parts are multiples of a step
constexpr ptrdiff_t kMostParts = 65535;            // of a grid's third axis

cuda::Module module("ops/gemm/gemm_parts_cuda.cu");
cuda::Kernel<GemmCuda, long long> to_f32(module, "gemm_parts_f32_cuda");
cuda::Kernel<GemmCuda, long long> to_bf16(module, "gemm_parts_bf16_cuda");
cuda::Kernel<GemmOf<double>, long long> to_f64(module, "gemm_parts_f64_cuda");

auto& kernel_for(const GemmCuda& g) { return g.c_is_narrow ? to_bf16 : to_f32; }
auto& kernel_for(const GemmOf<double>&) { return to_f64; }

}  // namespace

SumParts cut_sum(int device, ptrdiff_t blocks, ptrdiff_t k, ptrdiff_t result, ptrdiff_t least,
                 ptrdiff_t most, size_t item) {
  if (result == 0 || blocks == 0) return kWholeSum;
  ptrdiff_t parts = std::min(cuda::multiprocessors(device) / blocks, ceil_div(k, least));
  parts = std::max(parts, ceil_div(k, kLongest));
  parts = std::min({parts, most / ptrdiff_t(item) / result, kMostParts});
  if (parts <= 1) return kWholeSum;
  const ptrdiff_t each = ceil_div(ceil_div(k, parts), kStep) * kStep;
  parts = ceil_div(k, each);
  return {parts, each, parts * result};
}

template <class R>
GemmOf<R> part_of(const GemmOf<R>& whole, const SumParts& parts, R* space) {
  const Epilogue<R> none;
  GemmOf<R> g = whole;
  g.c = space, g.c_is_narrow = 0;
  g.k_part = int(parts.each), g.c_part = parts.floats / parts.parts;
  g.alpha = 1, g.beta = 0, g.bias = nullptr, g.bias_axis = 0;
  g.low = none.low, g.high = none.high;
  return g;
}

template <class R>
void add_parts_launch(const cuda::Stream& stream, const GemmOf<R>& whole, ptrdiff_t batch,
                      const SumParts& parts, const R* space) {
  GemmOf<R> g = whole;
  const ptrdiff_t m = g.m, n = g.n;
  g.a = space, g.a_batch = m * n, g.c_part = parts.floats / parts.parts;
  const unsigned blocks = cuda::blocks_to_fill(stream, m * ceil_div(n, 4), GemmCuda::kThreads);
  kernel_for(g).launch(stream, {{blocks, unsigned(batch)}, {GemmCuda::kThreads}}, {{"c", {m, n}}},
                       g, parts.parts);
}

#define OF(R)                                                                      \
  template GemmOf<R> part_of(const GemmOf<R>&, const SumParts&, R*);               \
  template void add_parts_launch(const cuda::Stream&, const GemmOf<R>&, ptrdiff_t, \
                                 const SumParts&, const R*);
OF(float)
OF(double)
#undef OF

}  // namespace striate
