// SPDX-License-Identifier: Apache-2.0
// Devices and their primary contexts, which CuPy, PyTorch and this library share.
#pragma once
#include <string>

#include "cuda/driver/driver.h"

namespace striate::cuda {

constexpr int kMostDevices = 64;
constexpr int kOldestMajor = 8;  // compute capability 8.0

struct DeviceInfo {
  std::string name;
  int major, minor;  // compute capability
  int multiprocessors;
  size_t memory;        // bytes
  std::string why_not;  // "" if kernels can run on it
};

int device_count();  // 0 where the driver can't be used
DeviceInfo device_info(int device);
int multiprocessors(int device);
int current_device();  // of the calling thread's context; 0 if it has none

// Makes the device's primary context the calling thread's, until the end of the scope. The context
// is retained at first use, for the life of the process.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  Context before_ = nullptr, ours_;
};

// Waits for all that was launched on the device.
void synchronize(int device);

}  // namespace striate::cuda
