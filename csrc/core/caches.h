// SPDX-License-Identifier: Apache-2.0
// Caches of a core, as the system tells of them; usual sizes where it does not.
#pragma once
#include <cstddef>

namespace striate {

constexpr ptrdiff_t kL1WayBytes = 4096;  // addresses so far apart share a set of L1, on every x86

ptrdiff_t l1_ways();   // 8 unless told
ptrdiff_t l2_bytes();  // 1 MiB unless told

}  // namespace striate
