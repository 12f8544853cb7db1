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
cuda::Kernel<GemmCuda, long long> gemm_parts(module, "gemm_parts_f32_cuda");

}  // namespace

SumParts cut_sum(int device, ptrdiff_t blocks, ptrdiff_t k, ptrdiff_t result, ptrdiff_t least,
                 ptrdiff_t most) {
  if (result == 0 || blocks == 0) return kWholeSum;
  ptrdiff_t parts = std::min(cuda::multiprocessors(device) / blocks, ceil_div(k, least));
  parts = std::max(parts, ceil_div(k, kLongest));
  parts = std::min({parts, most / ptrdiff_t(sizeof(float)) / result, kMostParts});
  if (parts <= 1) return kWholeSum;
  const ptrdiff_t each = ceil_div(ceil_div(k, parts), kStep) * kStep;
  parts = ceil_div(k, each);
  return {parts, each, parts * result};
}

GemmCuda part_of(const GemmCuda& whole, const SumParts& parts, float* space) {
  const Epilogue<float> none;
  GemmCuda g = whole;
  g.c = space;
  g.k_part = int(parts.each), g.c_part = parts.floats / parts.parts;
  g.alpha = 1, g.beta = 0, g.bias = nullptr, g.bias_axis = 0;
  g.low = none.low, g.high = none.high;
  return g;
}

void add_parts_launch(const cuda::Stream& stream, const GemmCuda& whole, ptrdiff_t batch,
                      const SumParts& parts, const float* space) {
  GemmCuda g = whole;
  const ptrdiff_t m = g.m, n = g.n;
  g.a = space, g.a_batch = m * n, g.c_part = parts.floats / parts.parts;
  const unsigned blocks = cuda::blocks_to_fill(stream, m * ceil_div(n, 4), GemmCuda::kThreads);
  gemm_parts.launch(stream, {{blocks, unsigned(batch)}, {GemmCuda::kThreads}}, {{"c", {m, n}}}, g,
                    parts.parts);
}

}  // namespace striate
