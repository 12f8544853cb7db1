// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <vector>

#include "cuda/driver/kernel.h"
#include "cuda/driver/memory.h"
#include "cuda/driver/nvrtc.h"
#include "cuda/probe/probe.h"

namespace striate::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kSharedBytes = 64 << 10;
constexpr ptrdiff_t kElements = 1000003;  // a prime: the last block is not full
constexpr float kFactor = 3;              // results are integers below 2^24, hence exact

Module module("cuda/probe/probe_cuda.cu");
Kernel<const float*, float*, float, long long> probe_f32_cuda(module, "probe_f32_cuda");

void launch(const Stream& stream, const float* x, float* y, ptrdiff_t n) {
  probe_f32_cuda.launch(stream, {{blocks_for(n, kThreads)}, {kThreads}, kSharedBytes}, {{"x", {n}}},
                        x, y, kFactor, n);
}

}  // namespace

Probe run_probe(int device) {
  const OnDevice here(device);
  const OwnStream own(device);
  const Stream& stream = own.get();
  std::vector<float> host(kElements);
  for (ptrdiff_t i = 0; i < kElements; ++i) host[size_t(i)] = float(i);
  DeviceMemory<float> x(kElements, "the probe's operand"), y(kElements, "the probe's result");
  x.copy_from(host.data(), stream);
  y.copy_from(host.data(), stream);  // memory of an earlier probe may hold the right result

  Probe probe;
  const auto start = std::chrono::steady_clock::now();
  launch(stream, x.data(), y.data(), kElements);
  synchronize(stream);
  probe.first_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  Event begin, end;
  begin.record(stream);
  launch(stream, x.data(), y.data(), kElements);
  end.record(stream);
  probe.kernel_seconds = end.seconds_since(begin);

  y.copy_to(host.data(), stream);
  synchronize(stream);
  probe.right = true;
  for (ptrdiff_t i = 0; i < kElements; ++i)
    probe.right = probe.right && host[size_t(i)] == kFactor * float(i) + 1;
  const DeviceInfo info = device_info(device);
  probe.architecture = architecture_for(info.major, info.minor);
  return probe;
}

}  // namespace striate::cuda
