// SPDX-License-Identifier: Apache-2.0
// The words of csrc/cuda/device/copy.cuh. The data come with the wait.
#pragma once
#include "cuda/device/memory.cuh"

namespace striate {

template <int kBytes, class T>
inline void copy_async(Shared<T> to, const T* from, int valid_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  if (valid_bytes < 0 || valid_bytes > kBytes) shim::fail("cp.async of %d bytes", valid_bytes);
  shim::copy_async(to.offset(0, kBytes), kBytes, from, valid_bytes);
}
inline void copy_commit() { shim::copy_commit(); }
template <int kGroupsLeft>
inline void copy_wait() {
  shim::copy_wait(kGroupsLeft);
}

}  // namespace striate
