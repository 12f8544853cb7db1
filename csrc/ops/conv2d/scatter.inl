// SPDX-License-Identifier: Apache-2.0
// Bound: two loads and a store a vector, in L1.
#include "ops/conv2d/scatter.h"
#include "simd/row.h"

namespace striate {
namespace {

// Windows of a vector and more. The last vector ends with the window and overlaps the one before
// it: both hold the same sums there, since it was loaded before that was stored.
template <class T>
void add_long(const ScatterWindows<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  const ptrdiff_t end = a.n - lanes, to_step = a.to_step, from_step = a.from_step;
  T* to = a.to;
  const T* from = a.from;
  for (ptrdiff_t i = a.count; i > 0; --i, to += to_step, from += from_step) {
    const Vec<T> last = load(to + end) + load(from + end);
    for (ptrdiff_t j = 0; j < end; j += lanes) store(to + j, load(to + j) + load(from + j));
    store(to + end, last);
  }
}

template <class T>
void add_short(const ScatterWindows<T>& a) {
  for (ptrdiff_t i = 0; i < a.count; ++i)
    for (ptrdiff_t j = 0; j < a.n; ++j) a.to[i * a.to_step + j] += a.from[i * a.from_step + j];
}

template <class T>
void add_windows(const ScatterWindows<T>& a) {
  return a.n >= Vec<T>::lanes ? add_long(a) : add_short(a);
}

}  // namespace

#define ROW(name, T, isa) HERE_##isa(void name(const ScatterWindows<T>& a) { add_windows(a); })
#include "ops/conv2d/scatter_kernels.inc"
#undef ROW

}  // namespace striate
