// SPDX-License-Identifier: Apache-2.0
// dst[i] = src[i] for i < n, no overlap. Bound: memory, two streams; large runs go past the caches,
// or it would be three.
//
// Included by layout_<isa>.cpp after its vec_<isa>.h.
#include "ops/layout/layout.h"
#include "simd/write.h"

namespace striate {
namespace {

template <class T>
void copy_run(const T* src, T* dst, ptrdiff_t n) {
  const bool past = past_caches(dst, n);
  write_run(dst, n, past, [=](ptrdiff_t i, auto... on) { return load(src + i, on...); }, src);
  if (past) drain();
}

}  // namespace

#define ROW(name, T, isa) \
  HERE_##isa(void name(const T* src, T* dst, ptrdiff_t n) { copy_run(src, dst, n); })
#include "ops/layout/copies.inc"
#undef ROW

}  // namespace striate
