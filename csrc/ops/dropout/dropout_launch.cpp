// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/launchers.h"
#include "ops/dropout/dropout.h"
#include "ops/dropout/dropout_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kWords = 4;  // of a thread: a call of Philox makes so many

cuda::Module module("ops/dropout/dropout_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<DropoutCuda<T>> flat, channels_last;
};
cuda::ByDtype<Kernels> kernels{
    {{module, "dropout_f32_cuda"}, {module, "dropout_f32_cuda_channels_last"}},
    {{module, "dropout_f64_cuda"}, {module, "dropout_f64_cuda_channels_last"}}};

}  // namespace

void dropout_launch(const cuda::Stream& stream, const Operand& x, const DropoutOptions& options,
                    const Operand& out) {
  check_probability(options);
  const ptrdiff_t n = x.size();
  if (n == 0) return;
  const cuda::OnDevice here(stream.device);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    DropoutCuda<T> arguments{};
    arguments.x = x.as<const T>(), arguments.y = out.as<T>();
    arguments.rule = rule_of<T>(options), arguments.key = options.key;
    if (is_c_order(x) && is_c_order(out)) {
      arguments.n = n;
      const unsigned blocks = cuda::blocks_to_fill(stream, n, kThreads * kWords);
      return kernels.of(t).flat.launch(stream, {{blocks}, {kThreads}}, {{"x", x}}, arguments);
    }
    arguments.images = x.shape[0], arguments.channels = x.shape[1];
    arguments.pixels = n / (x.shape[0] * x.shape[1]);
    const ptrdiff_t calls = x.shape[0] * ((arguments.pixels + kWords - 1) / kWords) * x.shape[1];
    const unsigned blocks = cuda::blocks_to_fill(stream, calls, kThreads);
    kernels.of(t).channels_last.launch(stream, {{blocks}, {kThreads}}, {{"x", x}}, arguments);
  });
}

}  // namespace striate
