// SPDX-License-Identifier: Apache-2.0
#include <climits>
#include <cstring>

#include "cuda/driver/launchers.h"
#include "cuda/driver/memory.h"
#include "ops/interpolate/interpolate.h"
#include "ops/interpolate/interpolate_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;

cuda::Module module("ops/interpolate/interpolate_cuda.cu");
template <class T>
using ResampleKernel = cuda::Kernel<ResampleCuda<T>>;
cuda::ByDtype<ResampleKernel> kernels{{module, "interpolate_f32_cuda"},
                                      {module, "interpolate_f64_cuda"}};

static_assert(sizeof(double) == sizeof(int64_t) && sizeof(ptrdiff_t) == sizeof(int64_t));

// Copies n numbers of eight bytes behind those that are there; their place on the device.
template <class T>
int64_t* append(std::vector<int64_t>& host, int64_t* device, const std::vector<T>& numbers) {
  const size_t first = host.size();
  host.resize(first + numbers.size());
  if (!numbers.empty()) std::memcpy(&host[first], numbers.data(), numbers.size() * sizeof(T));
  return device + first;
}

ResampleAxisCuda append(std::vector<int64_t>& host, int64_t* device, const ResampleAxis& axis) {
  ResampleAxisCuda there{};
  there.begin = reinterpret_cast<const long long*>(append(host, device, axis.begin));
  there.at = reinterpret_cast<const long long*>(append(host, device, axis.at));
  there.weight = reinterpret_cast<const double*>(append(host, device, axis.weight));
  there.in = int(axis.in), there.out = Divisor::of(int(axis.out));
  return there;
}

}  // namespace

ptrdiff_t resample_space(const ResampleAxis* axes) {
  size_t numbers = 0;
  for (int i = 0; i < 3; ++i) numbers += axes[i].begin.size() + 2 * axes[i].at.size();
  return ptrdiff_t(numbers);
}

void resample_launch(const cuda::Stream& stream, const Operand& x, const ResampleAxis* axes,
                     int64_t* space, const Operand& y) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t channels = y.shape[1], item = ptrdiff_t(item_size(y.dtype));
  const ptrdiff_t packs = (channels * item + 15) / 16, count = y.size() / channels * packs;
  for (int i = 0; i < 3; ++i)
    if (count > INT_MAX || axes[i].in > INT_MAX)
      fail("interpolate", "x", "at most 2^31 times 16 bytes on a GPU",
           x.text() + " to " + y.text());
  std::vector<int64_t> host;
  ResampleAxisCuda there[3];
  for (int i = 0; i < 3; ++i) there[i] = append(host, space, axes[i]);
  // From memory that can be paged the driver has copied when this returns.
  cuda::detail::upload(space, host.data(), host.size() * sizeof(int64_t), stream);
  dispatch(y.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const ResampleCuda<T> arguments{
        x.as<const T>(),         y.as<T>(), {there[0], there[1], there[2]}, int(channels),
        Divisor::of(int(packs)), int(count)};
    kernels.of(t).launch(stream, {{cuda::blocks_to_fill(stream, count, kThreads)}, {kThreads}},
                         {{"x", x}, {"y", y}}, arguments);
  });
}

}  // namespace striate
