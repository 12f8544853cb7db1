// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/depthwise_launch.h"

#include <algorithm>

#include "core/blocks.h"
#include "cuda/driver/kernel.h"
#include "ops/conv2d/depthwise_cuda.h"

namespace striate {
namespace {

constexpr ptrdiff_t kRows = 8;                        // pixels that a block makes at a time
constexpr ptrdiff_t kMostShared = 96 << 10;           // bytes: less than any chip's most
constexpr ptrdiff_t kPart = 512, kMostParts = 65535;  // pixels of a part; of a grid's axis

cuda::Module module("ops/conv2d/depthwise_cuda.cu");
#define PASSES(dtype)                                    \
  {{module, "conv2d_fwd_" dtype "_cuda_depthwise"},      \
   {module, "conv2d_bwd_data_" dtype "_cuda_depthwise"}, \
   {module, "conv2d_bwd_weight_" dtype "_cuda_depthwise"}}
cuda::Kernel<DepthwiseCuda> of_f32[3] = PASSES("f32"), of_bf16[3] = PASSES("bf16");
cuda::Kernel<DepthwiseOf<double>> of_f64[3] = PASSES("f64");
#undef PASSES

auto& passes_for(const ConvLaunch<float>& o) { return o.dtype == Dtype::bf16 ? of_bf16 : of_f32; }
auto& passes_for(const ConvLaunch<double>&) { return of_f64; }

ptrdiff_t channels_of_block(Dtype dtype) { return 32 * 16 / ptrdiff_t(item_size(dtype)); }

// Bytes, of the weights that a block's channels have.
ptrdiff_t shared_of(ConvPass pass, const ConvShape& s, Dtype dtype) {
  if (pass == ConvPass::bwd_weight) return 0;
  const ptrdiff_t item = dtype == Dtype::f64 ? sizeof(double) : sizeof(float);
  return s.r * s.s * (pass == ConvPass::fwd ? 1 : s.k / s.c) * channels_of_block(dtype) * item;
}

template <class R>
DepthwiseOf<R> arguments_of(ConvPass pass, const ConvShape& s, const SumParts& parts,
                            const ConvLaunch<R>& o) {
  const auto divisor = [](ptrdiff_t size) { return Divisor::of(int(size)); };
  DepthwiseOf<R> a{};
  a.x = pass == ConvPass::bwd_data ? nullptr : o.a;
  a.dy = pass == ConvPass::bwd_data ? o.a : pass == ConvPass::bwd_weight ? o.b : nullptr;
  a.w = pass == ConvPass::bwd_weight ? nullptr : o.b;
  a.bias = o.epilogue.bias, a.low = o.epilogue.low, a.high = o.epilogue.high;
  a.out = parts.parts > 1 ? o.space : o.out;
  a.out_is_narrow = o.out_dtype == Dtype::bf16;
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

bool depthwise_launch_takes(ConvPass pass, const ConvShape& s, Dtype dtype) {
  return s.groups == s.c && s.c > 1 && s.h > 0 && s.w > 0 &&
         shared_of(pass, s, dtype) <= kMostShared;
}

SumParts depthwise_parts(const ConvShape& s, ptrdiff_t most_sums) {
  const ptrdiff_t pixels = s.n * s.p * s.q, weights = s.k * s.r * s.s;
  const ptrdiff_t most = most_sums / weights;
  const ptrdiff_t parts = std::min({ceil_div(pixels, kPart), most, kMostParts});
  if (parts <= 1) return {1, pixels, 0};
  const ptrdiff_t each = ceil_div(pixels, parts), count = ceil_div(pixels, each);
  return {count, each, count * weights};
}

template <class R>
void depthwise_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& s,
                      const SumParts& parts, const ConvLaunch<R>& o) {
  const bool data = pass == ConvPass::bwd_data, weight = pass == ConvPass::bwd_weight;
  const ptrdiff_t pixels = data ? s.n * s.h * s.w : s.n * s.p * s.q;
  const unsigned rows =
      weight ? unsigned(parts.parts) : cuda::blocks_to_fill(stream, pixels, unsigned(kRows));
  const unsigned channels = unsigned(channels_of_block(o.dtype));
  const cuda::Grid grid{{cuda::blocks_for(data ? s.c : s.k, channels), rows},
                        {32, unsigned(kRows)},
                        unsigned(shared_of(pass, s, o.dtype))};
  passes_for(o)[int(pass)].launch(
      stream, grid, {{"image", {s.n, s.c, s.h, s.w}}, {"weight", {s.k, s.group_c(), s.r, s.s}}},
      arguments_of(pass, s, parts, o));
  if (parts.parts == 1) return;
  GemmOf<R> g{};  // dw [K, R S]
  g.c = o.out, g.c_is_narrow = o.out_dtype == Dtype::bf16;
  g.m = int(s.k), g.n = int(s.r * s.s), g.c_ld = g.n;
  g.alpha = 1, g.low = o.epilogue.low, g.high = o.epilogue.high;
  add_parts_launch<R>(stream, g, 1, parts, o.space);
}

template void depthwise_launch(const cuda::Stream&, ConvPass, const ConvShape&, const SumParts&,
                               const ConvLaunch<float>&);
template void depthwise_launch(const cuda::Stream&, ConvPass, const ConvShape&, const SumParts&,
                               const ConvLaunch<double>&);

}  // namespace striate
