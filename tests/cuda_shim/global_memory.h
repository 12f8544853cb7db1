// SPDX-License-Identifier: Apache-2.0
// Global memory is the process's own. Kernels use plain pointers, which keeps them readable, so an
// access outside a buffer is caught in two ways. The tests put buffers against pages that can't be
// touched, on either side, and the fault is reported as an error of the launch: that finds any
// access. Accesses of 16 bytes and cp.async go through helpers, and these also look whether all of
// the bytes are in one of the launch's buffers, and aligned, as the hardware demands.
#pragma once
#include <cstddef>

namespace shim {

struct Buffer {
  char* begin;
  size_t bytes;
};

class GlobalMemory {
 public:
  GlobalMemory(const Buffer* buffers, int count) : buffers_(buffers), count_(count) {}
  void check(const void* pointer, size_t bytes, size_t alignment, const char* what) const;
  // How far `pointer` is from the nearest buffer, in words.
  void explain_fault(const void* pointer) const;

 private:
  const Buffer* buffers_;
  int count_;
};

const GlobalMemory& global_memory();

}  // namespace shim
