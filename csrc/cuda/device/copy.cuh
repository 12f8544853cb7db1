// SPDX-License-Identifier: Apache-2.0
// cp.async: copies from global to shared memory that go on beside the arithmetic.
//
//   copy_async<B>(to, from, valid)  B (4, 8 or 16) bytes, of which the first `valid` are copied and
//                                   the others become 0; both addresses are multiples of B, and of
//                                   `from` no more than `valid` bytes are touched
//   copy_commit()                   ends a group of this thread's copies
//   copy_wait<N>()                  until at most N of this thread's groups are under way; what
//                                   other threads copied is there after a barrier too
#pragma once
#include "cuda/device/memory.cuh"

namespace striate {

template <int kBytes, class T>
inline void copy_async(Shared<T> to, const T* from, int valid_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "what cp.async can copy");
  const uint32 address = uint32(__cvta_generic_to_shared(to));
  if constexpr (kBytes == 16)  // past L1, where a tile would only displace others
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from),
                 "r"(valid_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from),
                 "n"(kBytes), "r"(valid_bytes)
                 : "memory");
}
inline void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kGroupsLeft>
inline void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

}  // namespace striate
