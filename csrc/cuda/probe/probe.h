// SPDX-License-Identifier: Apache-2.0
// y = a x + 1 on a device, for `striate doctor`: does a kernel compile, run and compute right?
#pragma once
#include <string>

namespace striate::cuda {

struct Probe {
  std::string architecture;  // what was compiled for
  double first_seconds;      // of the first launch, which compiles and loads
  double kernel_seconds;     // of the kernel, by the device's clock
  bool right;
};

Probe run_probe(int device);

}  // namespace striate::cuda
