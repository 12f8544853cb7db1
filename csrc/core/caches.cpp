// SPDX-License-Identifier: Apache-2.0
#include "core/caches.h"

#include <cstdint>
#include <cstring>

#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace striate {
namespace {

#if defined(__linux__)
ptrdiff_t told(int name, ptrdiff_t usual) {
  const long value = sysconf(name);
  return value > 0 ? ptrdiff_t(value) : usual;
}
#define TOLD(name, usual) told(name, usual)
#else
#define TOLD(name, usual) usual
#endif

}  // namespace

ptrdiff_t l1_ways() {
  static const ptrdiff_t ways = TOLD(_SC_LEVEL1_DCACHE_ASSOC, 8);
  return ways;
}

ptrdiff_t l2_bytes() {
  static const ptrdiff_t bytes = TOLD(_SC_LEVEL2_CACHE_SIZE, ptrdiff_t(1) << 20);
  return bytes;
}

bool l3_is_far() {
#if defined(__x86_64__)
  static const bool far = [] {
    uint32_t most, maker[3];  // "Genu", "ntel", "ineI"
    return __get_cpuid(0, &most, &maker[0], &maker[1], &maker[2]) &&
           std::memcmp(maker, "GenuntelineI", sizeof maker) == 0;
  }();
  return far;
#else
  return false;
#endif
}

}  // namespace striate
