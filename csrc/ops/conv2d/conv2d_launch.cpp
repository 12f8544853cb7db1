// SPDX-License-Identifier: Apache-2.0
// Products choose among kernels here as in gemm_launch.cpp: of float32 "highest" sums on CUDA
// cores, "high" by three products of TF32, "medium" by one. Depthwise filters go to
// depthwise_launch.cpp.
//
// Few tiles are the rule in the gradient of weights, which sums over every pixel of every image,
// and of the other passes in small batches of small images: parts.h. conv_workspace() bounds what
// parts take.
#include <algorithm>
#include <climits>
#include <numeric>

#include "core/blocks.h"
#include "core/check.h"
#include "core/precision.h"
#include "cuda/driver/kernel.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/conv2d_cuda.h"
#include "ops/conv2d/depthwise_launch.h"

namespace striate {
namespace {

constexpr ptrdiff_t kTile = GemmCuda::kTileM, kNarrowTile = 64, kWideTile = 256;
constexpr ptrdiff_t kMost = INT_MAX - (1 << 20);  // of an index, with room for tiles that overhang
constexpr ptrdiff_t kMostBlocks = 65535;          // of a grid's second and third axis
constexpr ptrdiff_t kLeastPixels = 256, kLeastDepth = 512;  // of a part of a sum

cuda::Module simt("ops/conv2d/conv2d_simt_cuda.cu"), tf32("ops/conv2d/conv2d_tf32_cuda.cu");
cuda::Module bf16("ops/conv2d/conv2d_bf16_cuda.cu"), f64("ops/conv2d/conv2d_f64_cuda.cu");

template <class R>
struct Method {
  ptrdiff_t columns;  // of a tile
  bool dynamic_shared;
  cuda::Kernel<ConvOf<R>> passes[3];
};
#define PASSES(module, name)                                           \
  {                                                                    \
    {module, "conv2d_fwd_" name}, {module, "conv2d_bwd_data_" name}, { \
      module, "conv2d_bwd_weight_" name                                \
    }                                                                  \
  }
Method<float> on_cores{kTile, false, PASSES(simt, "f32_cuda_simt")};
Method<float> by_three{kTile, true, PASSES(tf32, "f32_cuda_3xtf32")};
// Tiles of 64, 128 and 256 columns.
Method<float> by_one[] = {{kNarrowTile, true, PASSES(tf32, "f32_cuda_tf32_128x64")},
                          {kTile, true, PASSES(tf32, "f32_cuda_tf32_128x128")},
                          {kWideTile, true, PASSES(tf32, "f32_cuda_tf32_128x256")}};
Method<float> of_bf16[] = {{kNarrowTile, true, PASSES(bf16, "bf16_cuda_mma_128x64")},
                           {kTile, true, PASSES(bf16, "bf16_cuda_mma_128x128")},
                           {kWideTile, true, PASSES(bf16, "bf16_cuda_mma_128x256")}};
Method<double> of_f64{kTile, false, PASSES(f64, "f64_cuda_simt")};
#undef PASSES

// Taps of an axis that reach the inputs of a phase, of the phase with most.
ptrdiff_t taps_of_phase(ptrdiff_t taps, ptrdiff_t stride, ptrdiff_t dilation) {
  return ceil_div(taps, stride / std::gcd(stride, dilation));
}

// The product of a group (conv2d_cuda.h), of bwd_data's largest phase, and the grid's third axis
// but for parts.
struct Sizes {
  ptrdiff_t m, n, k, phases;
  ptrdiff_t tiles(ptrdiff_t columns) const { return ceil_div(m, kTile) * ceil_div(n, columns); }
};
Sizes sizes_of(ConvPass pass, const ConvShape& s) {
  const ptrdiff_t taps = s.r * s.s, cg = s.group_c(), kg = s.group_k();
  if (pass == ConvPass::fwd) return {s.n * s.p * s.q, kg, taps * cg, 1};
  if (pass == ConvPass::bwd_weight) return {kg, taps * cg, s.n * s.p * s.q, 1};
  const ptrdiff_t of_phase =
      taps_of_phase(s.r, s.stride_h, s.dilation_h) * taps_of_phase(s.s, s.stride_w, s.dilation_w);
  return {s.n * ceil_div(s.h, s.stride_h) * ceil_div(s.w, s.stride_w), cg, of_phase * kg,
          s.stride_h * s.stride_w};
}

ptrdiff_t result_size(ConvPass pass, const ConvShape& s) {
  if (pass == ConvPass::fwd) return s.n * s.p * s.q * s.k;
  return pass == ConvPass::bwd_data ? s.n * s.h * s.w * s.c : s.k * s.r * s.s * s.group_c();
}

Method<float>& method_for(int device, ConvPass pass, const ConvShape& s, Dtype dtype, float) {
  const Precision precision = float32_precision();
  if (dtype == Dtype::f32 && precision == Precision::highest) return on_cores;
  if (dtype == Dtype::f32 && precision == Precision::high) return by_three;
  auto& methods = dtype == Dtype::bf16 ? of_bf16 : by_one;
  const Sizes sizes = sizes_of(pass, s);
  if (sizes.n <= kNarrowTile) return methods[0];
  const ptrdiff_t blocks = sizes.tiles(kWideTile) * s.groups * sizes.phases;
  return methods[sizes.n > kTile && blocks >= cuda::multiprocessors(device) ? 2 : 1];
}
Method<double>& method_for(int, ConvPass, const ConvShape&, Dtype, double) { return of_f64; }

void check_sizes(const char* op, ConvPass pass, const ConvShape& s, Dtype dtype) {
  const auto expect = [op](const char* what, ptrdiff_t size, ptrdiff_t most) {
    if (size > most)
      fail(op, what, "at most " + std::to_string(most) + " on a GPU", std::to_string(size));
  };
  // Factors first, so that no product overflows.
  expect("stride", std::max(s.stride_h, s.stride_w), 1 << 15);
  expect("dilation", std::max(s.dilation_h, s.dilation_w), 1 << 30);
  for (const ptrdiff_t size : {s.n, s.c, s.k, s.h, s.w, s.p, s.q, s.r * s.s})
    expect("size", size, kMost);
  expect("padding", std::max(s.h + 2 * s.top, s.w + 2 * s.left), kMost);
  expect("reach of a filter",
         std::max((s.p - 1) * s.stride_h + (s.r - 1) * s.dilation_h,
                  (s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w),
         kMost);
  expect("height times width", std::max(s.h * s.w, s.p * s.q), kMost);
  expect("pixels of all images", s.n * std::max(s.h * s.w, s.p * s.q), kMost);
  expect("elements of a filter", s.r * s.s * std::max(s.group_c(), s.group_k()), kMost);
  if (depthwise_launch_takes(pass, s, dtype)) return;
  expect("groups", s.groups, kMostBlocks);
  expect("stride: its axes' product", sizes_of(pass, s).phases, kMostBlocks);
}

ConvAxis axis_of(ConvPass pass, ptrdiff_t in, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride,
                 ptrdiff_t before, ptrdiff_t dilation) {
  const bool data = pass == ConvPass::bwd_data;
  const ptrdiff_t common = std::gcd(stride, dilation), step = data ? stride / common : 1;
  const int most = int(data ? taps_of_phase(taps, stride, dilation) : taps);
  return {int(in),
          int(out),
          int(taps),
          int(stride),
          int(before),
          int(dilation),
          int(step),
          int(dilation / common),
          Divisor::of(int(data ? ceil_div(in, stride) : out)),
          {Divisor::of(most), Divisor::of(std::max(most - 1, 1))}};
}

// Of one group, as the table of conv2d_cuda.h has it.
template <class R>
GemmOf<R> product_of(ConvPass pass, const ConvShape& s, const ConvLaunch<R>& o) {
  const Sizes sizes = sizes_of(pass, s);
  const ptrdiff_t cg = s.group_c(), kg = s.group_k(), filter = s.r * s.s * cg;
  GemmOf<R> g{};
  g.a = o.a, g.b = o.b, g.c = o.out;
  g.c_is_narrow = o.out_dtype == Dtype::bf16;
  g.m = int(sizes.m), g.n = int(sizes.n), g.k = int(sizes.k);
  g.alpha = 1, g.low = o.epilogue.low, g.high = o.epilogue.high;
  g.bias = o.epilogue.bias, g.bias_axis = int(o.epilogue.bias_axis);
  switch (pass) {
    case ConvPass::fwd:
      g.b_ld = filter, g.c_ld = s.k;
      g.a_batch = cg, g.b_batch = kg * filter, g.c_batch = kg;
      break;
    case ConvPass::bwd_data:
      g.c_ld = s.c;
      g.a_batch = kg, g.b_batch = kg * filter, g.c_batch = cg;
      break;
    case ConvPass::bwd_weight:
      g.a = o.b, g.b = o.a, g.a_ld = s.k, g.c_ld = filter;
      g.a_batch = kg, g.b_batch = cg, g.c_batch = kg * filter;
  }
  return g;
}

}  // namespace

SumParts conv2d_parts(const char* op, int device, ConvPass pass, const ConvShape& s, Dtype dtype) {
  check_sizes(op, pass, s, dtype);
  const bool weight = pass == ConvPass::bwd_weight;
  const ptrdiff_t result = result_size(pass, s);
  if (result == 0) return kWholeSum;
  const ptrdiff_t bytes = ptrdiff_t(conv_workspace());
  const size_t item = dtype == Dtype::f64 ? sizeof(double) : sizeof(float);
  if (depthwise_launch_takes(pass, s, dtype))
    return weight ? depthwise_parts(s, bytes / ptrdiff_t(item)) : kWholeSum;
  const Sizes sizes = sizes_of(pass, s);
  const ptrdiff_t columns =
      dtype == Dtype::f64 ? kTile : method_for(device, pass, s, dtype, 0.0f).columns;
  const ptrdiff_t blocks = sizes.tiles(columns) * s.groups * sizes.phases;
  const SumParts parts =
      cut_sum(device, blocks, sizes.k, result, weight ? kLeastPixels : kLeastDepth, bytes, item);
  return sizes.phases * parts.parts <= kMostBlocks ? parts : kWholeSum;
}

template <class R>
void conv2d_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& s,
                   const SumParts& parts, const ConvLaunch<R>& o) {
  if (result_size(pass, s) == 0) return;
  const cuda::OnDevice here(stream.device);
  if (depthwise_launch_takes(pass, s, o.dtype)) return depthwise_launch(stream, pass, s, parts, o);
  Method<R>& method = method_for(stream.device, pass, s, o.dtype, R());
  const Sizes sizes = sizes_of(pass, s);
  const bool data = pass == ConvPass::bwd_data, weight = pass == ConvPass::bwd_weight;
  ConvOf<R> c{};
  GemmOf<R> whole = product_of(pass, s, o);
  c.product = parts.parts == 1 ? whole : part_of(whole, parts, o.space);
  c.h = axis_of(pass, s.h, s.p, s.r, s.stride_h, s.top, s.dilation_h);
  c.w = axis_of(pass, s.w, s.q, s.s, s.stride_w, s.left, s.dilation_w);
  c.images = int(s.n);
  c.channels = Divisor::of(int(std::max<ptrdiff_t>(data ? s.group_k() : s.group_c(), 1)));
  c.pixel = data ? s.k : s.c;
  const unsigned shared =
      method.dynamic_shared ? unsigned(GemmCuda::mma_shared(int(method.columns))) : 0;
  const cuda::Size3 blocks{cuda::blocks_for(sizes.tiles(method.columns), 1), unsigned(s.groups),
                           unsigned(sizes.phases * parts.parts)};
  method.passes[int(pass)].launch(
      stream, {blocks, {GemmCuda::kThreads}, shared},
      {{"image", {s.n, s.c, s.h, s.w}}, {"weight", {s.k, s.group_c(), s.r, s.s}}}, c);
  if (parts.parts == 1) return;
  // All groups, and phases, as one matrix: y [N P Q, K], dx [N H W, C], dw [K, R S C/g].
  (weight ? whole.m : whole.n) *= int(s.groups);
  if (data) whole.m = int(s.n * s.h * s.w);
  add_parts_launch<R>(stream, whole, 1, parts, o.space);
}

template void conv2d_launch(const cuda::Stream&, ConvPass, const ConvShape&, const SumParts&,
                            const ConvLaunch<float>&);
template void conv2d_launch(const cuda::Stream&, ConvPass, const ConvShape&, const SumParts&,
                            const ConvLaunch<double>&);

}  // namespace striate
