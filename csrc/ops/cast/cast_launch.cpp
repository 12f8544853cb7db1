// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"
#include "ops/cast/cast.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kEach = 8;  // elements of a thread

cuda::Module module("ops/cast/cast_cuda.cu");
cuda::Kernel<const bfloat16*, float*, long long> widen(module, "cast_widen_bf16_cuda");
cuda::Kernel<const float*, bfloat16*, long long> narrow(module, "cast_narrow_f32_cuda");

}  // namespace

void cast_launch(const cuda::Stream& stream, const Operand& from, const Operand& to) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = to.size();
  const cuda::Grid grid{{cuda::blocks_to_fill(stream, n, kThreads * kEach)}, {kThreads}};
  if (to.dtype == Dtype::f32)
    widen.launch(stream, grid, {{"x", from}}, from.as<const bfloat16>(), to.as<float>(), n);
  else
    narrow.launch(stream, grid, {{"x", from}}, from.as<const float>(), to.as<bfloat16>(), n);
}

}  // namespace striate
