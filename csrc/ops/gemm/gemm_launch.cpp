// SPDX-License-Identifier: Apache-2.0
// Of float32, float32_precision() chooses the kernel: "highest" sums on CUDA cores, "high" by three
// products of TF32, whose error is no larger, and "medium" by one. Of bfloat16 all sum on tensor
// cores, of float64 on CUDA cores.
#include <climits>

#include "core/precision.h"
#include "cuda/driver/kernel.h"
#include "ops/gemm/gemm_cuda.h"
#include "ops/gemm/problem.h"

namespace striate {
namespace {

constexpr int kTile = GemmCuda::kTileM, kWideTile = 256;
constexpr ptrdiff_t kMostBatch = 65535;  // of a grid's second axis
constexpr ptrdiff_t kLeastDepth = 512;   // of a part of a sum

cuda::Module simt("ops/gemm/gemm_simt_cuda.cu"), tf32("ops/gemm/gemm_tf32_cuda.cu");
cuda::Module bf16("ops/gemm/gemm_bf16_cuda.cu"), f64("ops/gemm/gemm_f64_cuda.cu");

template <class R>
struct Method {
  int columns;  // of a tile
  bool dynamic_shared;
  cuda::Kernel<GemmOf<R>> kernels[2][2];  // by which of A and B is transposed
};
#define KERNELS(module, name)                                                                    \
  {                                                                                              \
    {{module, name "_nn"}, {module, name "_nt"}}, { {module, name "_tn"}, {module, name "_tt"} } \
  }
Method<float> on_cores{kTile, false, KERNELS(simt, "gemm_f32_cuda_simt")};
Method<float> by_three{kTile, true, KERNELS(tf32, "gemm_f32_cuda_3xtf32")};
Method<float> by_one{kTile, true, KERNELS(tf32, "gemm_f32_cuda_tf32_128x128")};
Method<float> by_one_wide{kWideTile, true, KERNELS(tf32, "gemm_f32_cuda_tf32_128x256")};
Method<float> of_bf16{kTile, true, KERNELS(bf16, "gemm_bf16_cuda_mma_128x128")};
Method<float> of_bf16_wide{kWideTile, true, KERNELS(bf16, "gemm_bf16_cuda_mma_128x256")};
Method<double> of_f64{kTile, false, KERNELS(f64, "gemm_f64_cuda_simt")};
#undef KERNELS

ptrdiff_t tiles_of(const GemmSizes& s, int columns) {
  return ((s.m + kTile - 1) / kTile) * ((s.n + columns - 1) / columns);
}

Method<float>& method_for(int device, Dtype dtype, const GemmSizes& s, float) {
  const bool fills = tiles_of(s, kWideTile) * s.batch >= cuda::multiprocessors(device);
  if (dtype == Dtype::bf16) return fills ? of_bf16_wide : of_bf16;
  const Precision precision = float32_precision();
  if (precision == Precision::highest) return on_cores;
  if (precision == Precision::high) return by_three;
  return fills ? by_one_wide : by_one;
}
Method<double>& method_for(int, Dtype, const GemmSizes&, double) { return of_f64; }

// How a kernel reads the matrices of x's last two axes.
struct Reading {
  bool fits, transposed;
  long long ld, batch;
};
Reading reading_of(const Operand& x) {
  const int i = x.rank - 2;
  const ptrdiff_t row = x.stride[i], column = x.stride[i + 1];
  const ptrdiff_t batch = i == 1 && x.shape[0] != 1 ? x.stride[0] : 0;
  if (column == 1 || x.shape[i + 1] <= 1) return {true, false, row, batch};
  if (row == 1 || x.shape[i] <= 1) return {true, true, column, batch};
  return {false, false, 0, 0};
}

}  // namespace

bool gemm_launch_reads(const Operand& x) { return reading_of(x).fits; }

SumParts gemm_launch_parts(int device, const GemmSizes& s, ptrdiff_t most, size_t item) {
  const ptrdiff_t blocks = tiles_of(s, kTile) * s.batch;
  return cut_sum(device, blocks, s.k, s.m * s.n * s.batch, kLeastDepth, most, item);
}

template <class R>
void gemm_launch(const cuda::Stream& stream, const GemmSizes& s, const Operand& a, const Operand& b,
                 const Operand& c, double alpha, double beta, const Epilogue<R>& e,
                 const SumParts& parts, R* space) {
  if (c.size() == 0) return;
  for (const ptrdiff_t size : {s.m, s.n, s.k})
    if (size > INT_MAX - kTile)
      fail("gemm", "size", "less than 2^31 rows and columns on a GPU", std::to_string(size));
  const Reading of_a = reading_of(a), of_b = reading_of(b), of_c = reading_of(c);
  const cuda::OnDevice here(stream.device);
  Method<R>& method = method_for(stream.device, a.dtype, s, R());
  GemmOf<R> p{};
  p.a = a.data, p.b = b.data, p.bias = e.bias;
  p.m = int(s.m), p.n = int(s.n), p.k = int(s.k);
  p.bias_axis = int(e.bias_axis);
  p.a_ld = of_a.ld, p.b_ld = of_b.ld, p.c_ld = of_c.ld;
  p.a_batch = of_a.batch, p.b_batch = of_b.batch, p.c_batch = of_c.batch;
  p.alpha = R(alpha), p.beta = R(beta), p.low = e.low, p.high = e.high;
  p.c_is_narrow = c.dtype == Dtype::bf16;
  const unsigned shared =
      method.dynamic_shared ? unsigned(GemmCuda::mma_shared(method.columns)) : 0;
  auto& kernel = method.kernels[of_a.transposed][of_b.transposed];
  for (ptrdiff_t i = 0; i < s.batch; i += kMostBatch) {
    const auto moved = [i](const Operand& x, long long batch) {
      return x.as<char>() + i * batch * ptrdiff_t(item_size(x.dtype));
    };
    p.a = moved(a, p.a_batch), p.b = moved(b, p.b_batch), p.c = moved(c, p.c_batch);
    const unsigned batch = unsigned(s.batch - i < kMostBatch ? s.batch - i : kMostBatch);
    const cuda::Size3 blocks{cuda::blocks_for(tiles_of(s, method.columns), 1), batch,
                             unsigned(parts.parts)};
    GemmOf<R> part = parts.parts == 1 ? p : part_of(p, parts, space + i * s.m * s.n);
    if (parts.parts > 1) part.c_ld = s.n, part.c_batch = s.m * s.n;
    kernel.launch(stream, {blocks, {GemmCuda::kThreads}, shared}, {{"a", a}, {"b", b}}, part);
    if (parts.parts > 1) add_parts_launch<R>(stream, p, batch, parts, space + i * s.m * s.n);
  }
}

template void gemm_launch(const cuda::Stream&, const GemmSizes&, const Operand&, const Operand&,
                          const Operand&, double, double, const Epilogue<float>&, const SumParts&,
                          float*);
template void gemm_launch(const cuda::Stream&, const GemmSizes&, const Operand&, const Operand&,
                          const Operand&, double, double, const Epilogue<double>&, const SumParts&,
                          double*);

}  // namespace striate
