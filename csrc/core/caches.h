// SPDX-License-Identifier: Apache-2.0
// Caches of a core, as the system tells of them; usual sizes where it does not.
#pragma once
#include <cstddef>

namespace striate {

constexpr ptrdiff_t kL1WayBytes = 4096;  // addresses so far apart share a set of L1, on every x86

ptrdiff_t l1_ways();   // 8 unless told
ptrdiff_t l2_bytes();  // 1 MiB unless told

// Whether what L2 lacks comes from a mesh of all cores, 200 cycles away and more, as on Intel's
// servers, and not from an L3 that few cores share, at 50.
bool l3_is_far();

}  // namespace striate
