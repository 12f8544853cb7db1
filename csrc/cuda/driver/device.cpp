// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/device.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/check.h"

namespace striate::cuda {
namespace {

std::atomic<Context> contexts[kMostDevices];
std::mutex retaining;

int handle_of(int device) {
  int handle, count;
  expect(api().cuDeviceGetCount(&count), "cuda: cuDeviceGetCount");
  count = std::min(count, kMostDevices);
  if (device < 0 || device >= count)
    fail("cuda", "device", "0 to " + std::to_string(count - 1), std::to_string(device));
  expect(api().cuDeviceGet(&handle, device), "cuda: cuDeviceGet");
  return handle;
}

int attribute(int which, int handle) {
  int value;
  expect(api().cuDeviceGetAttribute(&value, which, handle), "cuda: cuDeviceGetAttribute");
  return value;
}

Context primary_context(int device) {
  if (device >= 0 && device < kMostDevices)
    if (Context known = contexts[device].load(std::memory_order_acquire)) return known;
  const std::lock_guard<std::mutex> lock(retaining);
  const int handle = handle_of(device);
  Context made = contexts[device].load(std::memory_order_acquire);
  if (made == nullptr) {
    if (const Result result = api().cuDevicePrimaryCtxRetain(&made, handle))
      raise(result, "cuda: context of device " + std::to_string(device));
    contexts[device].store(made, std::memory_order_release);
  }
  return made;
}

}  // namespace

int device_count() {
  if (!driver().why_not.empty()) return 0;
  int count;
  expect(api().cuDeviceGetCount(&count), "cuda: cuDeviceGetCount");
  return std::min(count, kMostDevices);
}

DeviceInfo device_info(int device) {
  const int handle = handle_of(device);
  char name[256] = "";
  DeviceInfo info;
  expect(api().cuDeviceGetName(name, sizeof(name), handle), "cuda: cuDeviceGetName");
  expect(api().cuDeviceTotalMem_v2(&info.memory, handle), "cuda: cuDeviceTotalMem");
  info.name = name;
  info.major = attribute(kCapabilityMajor, handle);
  info.minor = attribute(kCapabilityMinor, handle);
  info.multiprocessors = attribute(kMultiprocessors, handle);
  if (info.major < kOldestMajor)
    info.why_not = "compute capability " + std::to_string(info.major) + "." +
                   std::to_string(info.minor) + "; 8.0 or higher is needed";
  return info;
}

int multiprocessors(int device) {
  static std::atomic<int> known[kMostDevices];
  if (device >= 0 && device < kMostDevices)
    if (const int count = known[device].load(std::memory_order_relaxed)) return count;
  const int count = attribute(kMultiprocessors, handle_of(device));
  known[device].store(count, std::memory_order_relaxed);
  return count;
}

int current_device() {
  Context context = nullptr;
  int device = 0;
  if (device_count() == 0) return 0;
  expect(api().cuCtxGetCurrent(&context), "cuda: cuCtxGetCurrent");
  if (context != nullptr) expect(api().cuCtxGetDevice(&device), "cuda: cuCtxGetDevice");
  return device;
}

OnDevice::OnDevice(int device) : ours_(primary_context(device)) {
  expect(api().cuCtxGetCurrent(&before_), "cuda: cuCtxGetCurrent");
  if (before_ != ours_) expect(api().cuCtxSetCurrent(ours_), "cuda: cuCtxSetCurrent");
}

// A thread that had no context keeps ours: the next call finds it there.
OnDevice::~OnDevice() {
  if (before_ != nullptr && before_ != ours_) driver().api.cuCtxSetCurrent(before_);
}

void synchronize(int device) {
  const OnDevice here(device);
  if (const Result result = api().cuCtxSynchronize())
    raise(result, "cuda: waiting for device " + std::to_string(device));
}

}  // namespace striate::cuda
