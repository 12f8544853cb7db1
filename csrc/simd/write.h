// SPDX-License-Identifier: Apache-2.0
// The loop of kernels that write one run of n elements, each from elements at the same place.
//
// A result that no cache will hold is written past the caches: a store that misses first reads the
// line that it is about to overwrite, which costs a third of the traffic of a unary operation, a
// quarter of a binary one.
#pragma once
#include <cstddef>
#include <cstdint>

namespace striate {
namespace {

// Bytes of a part from which on it is written past the caches. Drivers cut large results into 64
// parts or more, so the whole has 32 MB: more than the last level of cache leaves for it.
constexpr size_t kPastCaches = size_t(1) << 19;

// Whether n elements at `out` are. (Not in place: then the lines have just been read.)
template <class T>
inline bool past_caches(const T* out, ptrdiff_t n) {
  return size_t(n) * sizeof(T) >= kPastCaches && uintptr_t(out) % sizeof(T) == 0;
}

// out[i …] = value(i, on…) for the vectors of [0, n), `on` being the mask of a vector that is not
// whole, and absent for one that is. With `past`, which asks for a vector of elements at least,
// they go past the caches; whoever is done calls drain().
template <class T, class F>
inline __attribute__((always_inline)) void write_run(T* out, ptrdiff_t n, bool past, F value) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t i = 0;
  if (past) {
    const int head = int(-(uintptr_t(out) / sizeof(T)) % lanes);  // elements before an aligned one
    if (head > 0) {
      const Mask<T> on = first<T>(head);
      store(out, value(0, on), on);
      i = head;
    }
    for (; i + lanes <= n; i += lanes) stream(out + i, value(i));
  }
  for (; i + lanes <= n; i += lanes) store(out + i, value(i));
  if (i >= n) return;
  const Mask<T> on = first<T>(int(n - i));
  store(out + i, value(i, on), on);
}

}  // namespace
}  // namespace striate
