// SPDX-License-Identifier: Apache-2.0
// What launches of dropout's kernels pass; host and device read this file. The equations are in
// dropout.h.
#pragma once
#include "ops/dropout/rule.h"

namespace striate {

template <class T>
struct DropoutCuda {
  const T* x;
  T* y;  // may be x
  DropoutRule<T> rule;
  unsigned long long key;
  // Dense, C order: n elements, the first of index `index`, a multiple of 4.
  long long n;
  unsigned long long index;
  // Channels last: images of [pixels, channels].
  long long images, channels, pixels;
};

}  // namespace striate
