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
// parts or more, so the whole has 16 MB: with its operands, more than the last level of cache
// leaves for it. A cloud's 260 MB are other guests' as well: results of 17 and 26 MB through the
// caches took 1.4 times as long, and an exp whose result a relu then read 1.05 and 1.2 times
// (Emerald Rapids, one core).
constexpr size_t kPastCaches = size_t(1) << 18;

// Whether n elements at `out` are. (Not in place: then the lines have just been read.)
template <class T>
inline bool past_caches(const T* out, ptrdiff_t n) {
  return size_t(n) * sizeof(T) >= kPastCaches && uintptr_t(out) % sizeof(T) == 0;
}

// Bytes that operands are fetched ahead. The hardware's own fetching stops at each page, and a loop
// of many instructions does not reach past it by itself: with results past the caches, e^x of 160
// MB went from 15.5 to 20.5 GB/s on an Emerald Rapids, as fast as relu, and in L2 from 35 to 45.
// 1024 and 4096 bytes gave the same within 3 %.
constexpr ptrdiff_t kAhead = 2048;

// Fetches the line of p[ahead]. Addresses only: what lies past the data is never read.
template <class T>
inline void fetch(const T* p, ptrdiff_t ahead = kAhead / ptrdiff_t(sizeof(T))) {
  __builtin_prefetch(reinterpret_cast<const void*>(uintptr_t(p) + uintptr_t(ahead) * sizeof(T)));
}

// The same of a line that is about to be written.
template <class T>
inline void fetch_to_write(T* p, ptrdiff_t ahead) {
  __builtin_prefetch(reinterpret_cast<const void*>(uintptr_t(p) + uintptr_t(ahead) * sizeof(T)), 1);
}

// out[i …] = value(i, on…) for the vectors of [0, n), `on` being the mask of a vector that is not
// whole, and absent for one that is. With `past`, which asks for a vector of elements at least,
// they go past the caches; whoever is done calls drain(). `in` are the operands that value() reads
// at the same place.
template <class T, class F, class... In>
inline __attribute__((always_inline)) void write_run(T* out, ptrdiff_t n, bool past, F value,
                                                     const In*... in) {
  constexpr int lanes = Vec<T>::lanes;
  ptrdiff_t i = 0;
  if (past) {
    const int head = int(-(uintptr_t(out) / sizeof(T)) % lanes);  // elements before an aligned one
    if (head > 0) {
      const Mask<T> on = first<T>(head);
      store(out, value(0, on), on);
      i = head;
    }
    for (; i + lanes <= n; i += lanes) {
      (fetch(in + i), ...);
      stream(out + i, value(i));
    }
  }
  for (; i + lanes <= n; i += lanes) {
    (fetch(in + i), ...);
    store(out + i, value(i));
  }
  if (i >= n) return;
  const Mask<T> on = first<T>(int(n - i));
  store(out + i, value(i, on), on);
}

}  // namespace
}  // namespace striate
