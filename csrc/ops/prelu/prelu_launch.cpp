// SPDX-License-Identifier: Apache-2.0
#include "core/loops.h"
#include "cuda/device/strides.h"
#include "cuda/driver/launchers.h"
#include "ops/prelu/prelu.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/prelu/prelu_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<const T*, const T*, T*, Strides<3>> forward;
  cuda::Kernel<const T*, const T*, const T*, T*, T*, Strides<5>> backward;
};
cuda::ByDtype<Kernels> kernels{{{module, "prelu_f32_cuda"}, {module, "prelu_backward_f32_cuda"}},
                               {{module, "prelu_f64_cuda"}, {module, "prelu_backward_f64_cuda"}}};

}  // namespace

void prelu_launch(const cuda::Stream& stream, const Operand& x, const Operand& w,
                  const Operand& y) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = x.size();
  const auto strides = Strides<3>::of(Loops<3>({x, w, y}), n);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernels.of(t).forward.launch(stream, {{cuda::blocks_to_fill(stream, n, kThreads)}, {kThreads}},
                                 {{"x", x}}, x.as<const T>(), w.as<const T>(), y.as<T>(), strides);
  });
}

void prelu_backward_launch(const cuda::Stream& stream, const Operand& x, const Operand& w,
                           const Operand& dy, const Operand& dx, const Operand& dw) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = x.size();
  const auto strides = Strides<5>::of(Loops<5>({x, w, dy, dx, dw}), n);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    kernels.of(t).backward.launch(stream, {{cuda::blocks_to_fill(stream, n, kThreads)}, {kThreads}},
                                  {{"x", x}, {"dy", dy}}, x.as<const T>(), w.as<const T>(),
                                  dy.as<const T>(), dx.as<T>(), dw.as<T>(), strides);
  });
}

}  // namespace striate
