// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/launchers.h"
#include "ops/layout/layout.h"
#include "ops/layout/pad_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/layout/pad_cuda.cu");
template <class T>
using PadKernel = cuda::Kernel<const T*, T*, T, PadCuda>;
cuda::ByDtype<PadKernel> kernels{{module, "pad_f32_cuda"}, {module, "pad_f64_cuda"}};

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
    kernels.of(t).launch(stream, {{cuda::blocks_to_fill(stream, pad.n, kThreads)}, {kThreads}},
                         {{"x", x}, {"out", out}}, x.as<const T>(), out.as<T>(), T(value), pad);
  });
}

}  // namespace striate
