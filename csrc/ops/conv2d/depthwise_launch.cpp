// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/depthwise_launch.h"

#include <algorithm>

#include "core/blocks.h"
#include "cuda/driver/kernel.h"
#include "ops/conv2d/depthwise_cuda.h"

namespace striate {
namespace {

constexpr int kItem = sizeof(float);
constexpr ptrdiff_t kChannels = 32 * 16 / kItem;      // of a block
constexpr ptrdiff_t kRows = 8;                        // pixels that a block makes at a time
constexpr ptrdiff_t kMostShared = 96 << 10;           // bytes: less than any chip's most
constexpr ptrdiff_t kPart = 512, kMostParts = 65535;  // pixels of a part; of a grid's axis

cuda::Module module("ops/conv2d/depthwise_cuda.cu");
cuda::Kernel<DepthwiseCuda> passes[3] = {{module, "conv2d_fwd_f32_cuda_depthwise"},
                                         {module, "conv2d_bwd_data_f32_cuda_depthwise"},
                                         {module, "conv2d_bwd_weight_f32_cuda_depthwise"}};

// Bytes, of the weights that a block's channels have.
ptrdiff_t shared_of(ConvPass pass, const ConvShape& s) {
  if (pass == ConvPass::bwd_weight) return 0;
  return s.r * s.s * (pass == ConvPass::fwd ? 1 : s.k / s.c) * kChannels * kItem;
}

DepthwiseCuda arguments_of(ConvPass pass, const ConvShape& s, const SumParts& parts,
                           const ConvLaunch& o) {
  const auto divisor = [](ptrdiff_t size) { return Divisor::of(int(size)); };
  DepthwiseCuda a{};
  a.x = pass == ConvPass::bwd_data ? nullptr : o.a;
  a.dy = pass == ConvPass::bwd_data ? o.a : pass == ConvPass::bwd_weight ? o.b : nullptr;
  a.w = pass == ConvPass::bwd_weight ? nullptr : o.b;
  a.bias = o.epilogue.bias, a.low = o.epilogue.low, a.high = o.epilogue.high;
  a.out = parts.parts > 1 ? o.space : o.out;
  a.images = int(s.n), a.channels = int(s.c), a.filters = int(s.k);
  a.height = int(s.h), a.width = int(s.w), a.taps_h = int(s.r), a.taps_w = int(s.s);
  a.out_h = divisor(s.p), a.out_w = divisor(s.q), a.in_h = divisor(s.h), a.in_w = divisor(s.w);
  a.stride_h = divisor(s.stride_h), a.stride_w = divisor(s.stride_w);
  a.multiplier = divisor(s.k / s.c);
  a.top = int(s.top), a.left = int(s.left);
  a.dilation_h = int(s.dilation_h), a.dilation_w = int(s.dilation_w);
  a.part = int(parts.each);
  return a;
}

}  // namespace

bool depthwise_launch_takes(ConvPass pass, const ConvShape& s) {
  return s.groups == s.c && s.c > 1 && s.h > 0 && s.w > 0 && shared_of(pass, s) <= kMostShared;
}

SumParts depthwise_parts(const ConvShape& s, ptrdiff_t most_bytes) {
  const ptrdiff_t pixels = s.n * s.p * s.q, weights = s.k * s.r * s.s;
  const ptrdiff_t most = most_bytes / kItem / weights;
  const ptrdiff_t parts = std::min({ceil_div(pixels, kPart), most, kMostParts});
  if (parts <= 1) return {1, pixels, 0};
  const ptrdiff_t each = ceil_div(pixels, parts), count = ceil_div(pixels, each);
  return {count, each, count * weights};
}

void depthwise_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& s,
                      const SumParts& parts, const ConvLaunch& o) {
  const bool data = pass == ConvPass::bwd_data, weight = pass == ConvPass::bwd_weight;
  const ptrdiff_t pixels = data ? s.n * s.h * s.w : s.n * s.p * s.q;
  const unsigned rows =
      weight ? unsigned(parts.parts) : cuda::blocks_to_fill(stream, pixels, unsigned(kRows));
  const cuda::Grid grid{{cuda::blocks_for(data ? s.c : s.k, unsigned(kChannels)), rows},
                        {32, unsigned(kRows)},
                        unsigned(shared_of(pass, s))};
  passes[int(pass)].launch(
      stream, grid, {{"image", {s.n, s.c, s.h, s.w}}, {"weight", {s.k, s.group_c(), s.r, s.s}}},
      arguments_of(pass, s, parts, o));
  if (parts.parts == 1) return;
  GemmCuda g{};  // dw [K, R S]
  g.c = o.out;
  g.m = int(s.k), g.n = int(s.r * s.s), g.c_ld = g.n;
  g.alpha = 1, g.low = o.epilogue.low, g.high = o.epilogue.high;
  add_parts_launch(stream, g, 1, parts, o.space);
}

}  // namespace striate
