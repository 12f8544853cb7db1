// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/launchers.h"
#include "cuda/driver/memory.h"
#include "ops/ctc/ctc.h"
#include "ops/ctc/ctc_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/ctc/ctc_cuda.cu");
template <class T>
using CtcKernel = cuda::Kernel<CtcCuda<T>>;
cuda::ByDtype<CtcKernel> kernels{{module, "ctc_f32_cuda"}, {module, "ctc_f64_cuda"}};

}  // namespace

void ctc_launch(const cuda::Stream& stream, const Ctc& p, const CtcIntegers& integers,
                const CtcSpace& space, const Operand& loss, void* gradient) {
  const cuda::OnDevice here(stream.device);
  const auto all = integers.joined();
  // From memory that can be paged the driver has copied when this returns.
  cuda::detail::upload(space.integers, all.data(), all.size() * sizeof(int64_t), stream);
  const ptrdiff_t samples = p.log_probs.shape[1], labels = ptrdiff_t(integers.labels.size());
  const auto* at = reinterpret_cast<const long long*>(space.integers);
  dispatch(p.log_probs.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    CtcCuda<T> arguments{};
    arguments.log_probs = p.log_probs.as<const T>();
    arguments.steps = p.log_probs.shape[0], arguments.samples = samples;
    arguments.classes = p.log_probs.shape[2], arguments.blank = p.blank;
    arguments.length = at, arguments.start = at + samples;
    arguments.label = arguments.start + samples + 1;
    arguments.next = arguments.label + labels, arguments.first = arguments.next + labels;
    arguments.zero_infinity = p.zero_infinity;
    arguments.alpha = static_cast<T*>(space.alpha), arguments.rows = static_cast<T*>(space.rows);
    arguments.most = integers.most_states();
    arguments.loss = loss.as<T>(), arguments.gradient = static_cast<T*>(gradient);
    kernels.of(t).launch(stream, {{cuda::blocks_to_fill(stream, samples, 1)}, {kThreads}},
                         {{"log_probs", p.log_probs}}, arguments);
  });
}

}  // namespace striate
