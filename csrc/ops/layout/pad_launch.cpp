// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/kernel.h"
#include "ops/layout/layout.h"
#include "ops/layout/pad_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/layout/pad_cuda.cu");
cuda::Kernel<const float*, float*, float, PadCuda> pad_f32_cuda(module, "pad_f32_cuda");
cuda::Kernel<const double*, double*, double, PadCuda> pad_f64_cuda(module, "pad_f64_cuda");

auto& kernel_of(const float*) { return pad_f32_cuda; }
auto& kernel_of(const double*) { return pad_f64_cuda; }

}  // namespace

void pad_launch(const cuda::Stream& stream, const Operand& x, const ptrdiff_t* before, double value,
                const Operand& out) {
  const cuda::OnDevice here(stream.device);
  PadCuda pad{};
  pad.n = out.size();
  for (int i = 0; i < out.rank; ++i)
    if (out.shape[i] != 1 || x.shape[i] != 1 || before[i] != 0)
      pad.axis[pad.rank++] = {out.shape[i], x.shape[i], before[i], x.stride[i], out.stride[i]};
  std::stable_sort(pad.axis, pad.axis + pad.rank,
                   [](const auto& a, const auto& b) { return a.y_stride > b.y_stride; });
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernel_of(t).launch(stream, {{cuda::blocks_to_fill(stream, pad.n, kThreads)}, {kThreads}},
                        {{"x", x}, {"out", out}}, x.as<const T>(), out.as<T>(), T(value), pad);
  });
}

}  // namespace striate
