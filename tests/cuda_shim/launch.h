// SPDX-License-Identifier: Apache-2.0
// Kernels by name, and their launch from a list of pointers to arguments, as the driver does it.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "global_memory.h"

namespace shim {

using Body = void (*)(void** arguments);
bool add_kernel(const char* name, Body body, std::vector<size_t> parameters);  // their bytes

template <class... A>
std::vector<size_t> sizes_of(void (*)(A...)) {
  return {sizeof(A)...};
}

template <class... A, size_t... I>
void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(arguments[I])...);
}
template <class... A>
void call(void (*kernel)(A...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>());
}

// cp.async of the running thread (cuda/device/copy.cuh).
void copy_async(int shared_offset, int bytes, const void* from, int valid_bytes);
void copy_commit();
void copy_wait(int groups_left);

}  // namespace shim

#define SHIM_KERNEL(name)                            \
  static const bool name##_known = shim::add_kernel( \
      #name, [](void** arguments) { shim::call(name, arguments); }, shim::sizes_of(name));

struct ShimLaunch {
  unsigned grid[3], block[3];
  int dynamic_shared, reversed;
  const shim::Buffer* buffers;
  int buffer_count;
  // Out:
  int shared_bytes;
  long long wavefronts, ideal_wavefronts;
};

// Null, or what went wrong; valid until the next launch.
extern "C" __attribute__((visibility("default"))) const char* shim_launch(const char* kernel,
                                                                          void** arguments,
                                                                          ShimLaunch* launch);

// Bytes of a kernel's parameter; 0 where there is no such kernel, or it has fewer.
extern "C" __attribute__((visibility("default"))) size_t shim_parameter(const char* kernel,
                                                                        size_t index);
