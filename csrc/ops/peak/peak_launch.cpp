// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"
#include "ops/peak/peak.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kWarps = kThreads / 32;
constexpr int kChains = 8, kM = 16, kN = 8;

cuda::Module module("ops/peak/peak_cuda.cu");
cuda::Kernel<long long, float*> fma_f32(module, "peak_fma_f32_cuda");
cuda::Kernel<long long, double*> fma_f64(module, "peak_fma_f64_cuda");

struct Unit {  // of tensor cores
  const char* name;
  int k;  // of its instruction
  cuda::Kernel<const float*, long long, float*> kernel;
};
Unit units[] = {
    {"tf32", 8, {module, "peak_mma_tf32_cuda"}},
    {"bf16", 16, {module, "peak_mma_bf16_cuda"}},
    {"f16", 16, {module, "peak_mma_f16_cuda"}},
};

// Blocks that write all of an array of n things, `each` a block.
unsigned whole_blocks(const char* op, const char* argument, ptrdiff_t n, unsigned each) {
  if (n % each != 0)
    fail(op, argument, "a multiple of " + std::to_string(each) + " along its first axis",
         std::to_string(n));
  return cuda::blocks_for(n, each);
}

}  // namespace

double peak_fma_launch(const cuda::Stream& stream, ptrdiff_t rounds, const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const cuda::Grid grid{{whole_blocks("peak_fma", "like", out.size(), kThreads)}, {kThreads}};
  if (out.dtype == Dtype::f32)
    fma_f32.launch(stream, grid, {{"like", out}}, rounds, out.as<float>());
  else
    fma_f64.launch(stream, grid, {{"like", out}}, rounds, out.as<double>());
  return 2.0 * double(rounds) * kChains * double(out.size());
}

double peak_mma_launch(const cuda::Stream& stream, const std::string& name, ptrdiff_t rounds,
                       const Operand& x, const Operand& out) {
  for (Unit& unit : units) {
    if (name != unit.name) continue;
    const ptrdiff_t count = unit.k * (kM + kN);
    const ptrdiff_t tiles[] = {out.shape[0], kM, kN};
    expect_shape("peak_mma", "x", x, &count, 1);
    expect_shape("peak_mma", "out", out, tiles, 3);
    const cuda::OnDevice here(stream.device);
    const unsigned blocks = whole_blocks("peak_mma", "out", out.shape[0], kWarps);
    unit.kernel.launch(stream, {{blocks}, {kThreads}}, {{"x", x}, {"out", out}},
                       x.as<const float>(), rounds, out.as<float>());
    return 2.0 * double(rounds) * kChains * double(out.size()) * unit.k;
  }
  fail("peak_mma", "unit", "tf32, bf16 or f16", name);
}

}  // namespace striate
