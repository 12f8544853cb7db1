// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/memory.h"

namespace striate::cuda::detail {
namespace {

std::string mib(size_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

DevicePointer address(const void* device) { return reinterpret_cast<DevicePointer>(device); }

}  // namespace

void* allocate(size_t count, size_t bytes_each, const char* what) {
  size_t bytes;
  if (__builtin_mul_overflow(count, bytes_each, &bytes)) bytes = SIZE_MAX;
  if (bytes == 0) return nullptr;
  DevicePointer made = 0;
  const Result result = api().cuMemAlloc_v2(&made, bytes);
  if (result == 0) return reinterpret_cast<void*>(made);
  std::string text = "cuda: " + std::to_string(bytes) + " bytes for " + what;
  size_t free, total;
  if (api().cuMemGetInfo_v2(&free, &total) == 0)
    text += " (" + mib(free) + " of the device's " + mib(total) + " are free)";
  raise(result, text);
}

void free(void* device) noexcept {
  if (device != nullptr) driver().api.cuMemFree_v2(address(device));
}

void upload(void* device, const void* host, size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  if (const Result result = api().cuMemcpyHtoDAsync_v2(address(device), host, bytes, stream.handle))
    raise(result, "cuda: copy of " + std::to_string(bytes) + " bytes to the device");
}

void download(void* host, const void* device, size_t bytes, const Stream& stream) {
  if (bytes == 0) return;
  if (const Result result = api().cuMemcpyDtoHAsync_v2(host, address(device), bytes, stream.handle))
    raise(result, "cuda: copy of " + std::to_string(bytes) + " bytes from the device");
}

}  // namespace striate::cuda::detail
