// SPDX-License-Identifier: Apache-2.0
// Products choose among kernels here as in gemm_launch.cpp: "highest" sums on CUDA cores, "high" by
// three products of TF32, "medium" by one. Depthwise filters go to depthwise_launch.cpp.
//
// A product of few tiles is cut along its sum, into as many parts as fill the chip. The gradient of
// weights is the usual case: it sums over every pixel of every image. Its parts are of kMostPixels
// at most: a chain of additions that long loses no more than the CPU's. Small batches of small
// images have few tiles forward, too. conv_workspace() bounds the memory that parts take.
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
constexpr ptrdiff_t kLeastPixels = 256, kMostPixels = 16384;  // of a part
constexpr ptrdiff_t kLeastDepth = 512, kStep = 32;  // of a part forward; parts are multiples of

cuda::Module simt("ops/conv2d/conv2d_simt_cuda.cu"), tf32("ops/conv2d/conv2d_tf32_cuda.cu");
cuda::Module of_parts("ops/gemm/gemm_parts_cuda.cu");
cuda::Kernel<GemmCuda, long long> gemm_parts(of_parts, "gemm_parts_f32_cuda");

struct Method {
  ptrdiff_t columns;  // of a tile
  bool dynamic_shared;
  cuda::Kernel<ConvCuda> passes[3];
};
#define PASSES(module, name)                                           \
  {                                                                    \
    {module, "conv2d_fwd_" name}, {module, "conv2d_bwd_data_" name}, { \
      module, "conv2d_bwd_weight_" name                                \
    }                                                                  \
  }
Method on_cores{kTile, false, PASSES(simt, "f32_cuda_simt")};
Method by_three{kTile, true, PASSES(tf32, "f32_cuda_3xtf32")};
Method by_one_narrow{kNarrowTile, true, PASSES(tf32, "f32_cuda_tf32_128x64")};
Method by_one{kTile, true, PASSES(tf32, "f32_cuda_tf32_128x128")};
Method by_one_wide{kWideTile, true, PASSES(tf32, "f32_cuda_tf32_128x256")};
#undef PASSES

// The product of a group (conv2d_cuda.h), and the grid's third axis but for parts.
struct Sizes {
  ptrdiff_t m, n, k, phases;
  ptrdiff_t tiles(ptrdiff_t columns) const { return ceil_div(m, kTile) * ceil_div(n, columns); }
};
Sizes sizes_of(ConvPass pass, const ConvShape& s) {
  const ptrdiff_t taps = s.r * s.s, cg = s.group_c(), kg = s.group_k();
  if (pass == ConvPass::fwd) return {s.n * s.p * s.q, kg, taps * cg, 1};
  if (pass == ConvPass::bwd_weight) return {kg, taps * cg, s.n * s.p * s.q, 1};
  return {s.n * ceil_div(s.h, s.stride_h) * ceil_div(s.w, s.stride_w), cg, taps * kg,
          s.stride_h * s.stride_w};
}

Method& method_for(int device, ConvPass pass, const ConvShape& s) {
  const Precision precision = float32_precision();
  if (precision == Precision::highest) return on_cores;
  if (precision == Precision::high) return by_three;
  const Sizes sizes = sizes_of(pass, s);
  if (sizes.n <= kNarrowTile) return by_one_narrow;
  const ptrdiff_t blocks = sizes.tiles(kWideTile) * s.groups * sizes.phases;
  return sizes.n > kTile && blocks >= cuda::multiprocessors(device) ? by_one_wide : by_one;
}

void check_sizes(const char* op, ConvPass pass, const ConvShape& s) {
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
  if (depthwise_launch_takes(pass, s)) return;
  expect("groups", s.groups, kMostBlocks);
  expect("stride: its axes' product", sizes_of(pass, s).phases, kMostBlocks);
}

ConvCuda::Axis axis_of(ConvPass pass, ptrdiff_t in, ptrdiff_t out, ptrdiff_t taps, ptrdiff_t stride,
                       ptrdiff_t before, ptrdiff_t dilation) {
  const bool data = pass == ConvPass::bwd_data;
  const ptrdiff_t common = std::gcd(stride, dilation), step = data ? stride / common : 1;
  const int most = int(ceil_div(taps, step));
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
GemmCuda product_of(ConvPass pass, const ConvShape& s, const ConvParts& parts,
                    const ConvLaunch& o) {
  const Sizes sizes = sizes_of(pass, s);
  const ptrdiff_t cg = s.group_c(), kg = s.group_k(), filter = s.r * s.s * cg;
  GemmCuda g{};
  g.a = o.a, g.b = o.b, g.c = o.out;
  g.m = int(sizes.m), g.n = int(sizes.n), g.k = int(sizes.k);
  const Epilogue<float> none, &e = parts.parts == 1 ? o.epilogue : none;
  g.alpha = 1, g.low = e.low, g.high = e.high;
  g.bias = e.bias, g.bias_axis = int(e.bias_axis);
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
  if (parts.parts > 1)
    g.c = o.space, g.k_part = int(parts.each), g.c_part = parts.floats / parts.parts;
  return g;
}

// `most` parts at most.
ConvParts product_parts(int device, ConvPass pass, const ConvShape& s, ptrdiff_t most) {
  const Sizes sizes = sizes_of(pass, s);
  const bool weight = pass == ConvPass::bwd_weight;
  const ptrdiff_t blocks = sizes.tiles(method_for(device, pass, s).columns) * s.groups;
  const ptrdiff_t wanted = (weight ? 2 : 1) * ptrdiff_t(cuda::multiprocessors(device));
  // Forward a part is a second pass over y, so only where parts are at least two to a tile.
  ptrdiff_t parts = weight ? ceil_div(wanted, std::max<ptrdiff_t>(blocks, 1))
                           : wanted / std::max<ptrdiff_t>(blocks, 1);
  parts = std::min(parts, ceil_div(sizes.k, weight ? kLeastPixels : kLeastDepth));
  if (weight) parts = std::max(parts, ceil_div(sizes.k, kMostPixels));
  parts = std::min({parts, most, kMostBlocks});
  if (parts <= 1) return {1, sizes.k, 0};
  const ptrdiff_t each = ceil_div(ceil_div(sizes.k, parts), kStep) * kStep;
  return {ceil_div(sizes.k, each), each, 0};
}

}  // namespace

ConvParts conv2d_parts(const char* op, int device, ConvPass pass, const ConvShape& s) {
  check_sizes(op, pass, s);
  const bool weight = pass == ConvPass::bwd_weight, depthwise = depthwise_launch_takes(pass, s);
  if (pass == ConvPass::bwd_data || (depthwise && !weight)) return {1, 0, 0};
  const ptrdiff_t result = weight ? s.k * s.r * s.s * s.group_c() : s.n * s.p * s.q * s.k;
  if (result == 0) return {1, 0, 0};
  const ptrdiff_t most = ptrdiff_t(conv_workspace() / sizeof(float)) / result;
  ConvParts parts = depthwise ? depthwise_parts(s, most) : product_parts(device, pass, s, most);
  if (parts.parts > 1) parts.floats = parts.parts * result;
  return parts;
}

void add_conv_parts(const cuda::Stream& stream, ptrdiff_t m, ptrdiff_t n, const ConvParts& parts,
                    const ConvLaunch& o) {
  GemmCuda g{};
  g.a = o.space, g.c = o.out;
  g.m = int(m), g.n = int(n);
  g.c_ld = n, g.c_part = m * n;
  g.alpha = 1, g.low = o.epilogue.low, g.high = o.epilogue.high;
  g.bias = o.epilogue.bias, g.bias_axis = int(o.epilogue.bias_axis);
  const unsigned blocks = cuda::blocks_to_fill(stream, m * ceil_div(n, 4), GemmCuda::kThreads);
  gemm_parts.launch(stream, {{blocks}, {GemmCuda::kThreads}}, {{"result", {m, n}}}, g, parts.parts);
}

void conv2d_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& s,
                   const ConvParts& parts, const ConvLaunch& o) {
  const ptrdiff_t of_y = s.n * s.p * s.q * s.k, of_x = s.n * s.h * s.w * s.c;
  const ptrdiff_t of_w = s.k * s.r * s.s * s.group_c();
  if ((pass == ConvPass::fwd ? of_y : pass == ConvPass::bwd_data ? of_x : of_w) == 0) return;
  const cuda::OnDevice here(stream.device);
  if (depthwise_launch_takes(pass, s)) return depthwise_launch(stream, pass, s, parts, o);
  Method& method = method_for(stream.device, pass, s);
  const Sizes sizes = sizes_of(pass, s);
  const bool data = pass == ConvPass::bwd_data;
  ConvCuda c{};
  c.product = product_of(pass, s, parts, o);
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
  if (pass == ConvPass::fwd)
    add_conv_parts(stream, s.n * s.p * s.q, s.k, parts, o);
  else
    add_conv_parts(stream, s.k, s.r * s.s * s.group_c(), parts, o);
}

}  // namespace striate
