// SPDX-License-Identifier: Apache-2.0
// What the launch of the kernel of indices_cuda.cu passes; host and device read this file.
#pragma once

namespace striate {

// What a block has found: the first of its indices that is wrong, or the largest number for none;
// what stands there; and the sum of the others' weights.
struct IndexPart {
  long long place, value;
  double weight;
};

template <class T>
struct CheckIndicesCuda {
  const long long* index;  // [count]
  long long count, below, ignored;
  int ignores;       // whether `ignored` means anything
  const T* weight;   // [below], or null for 1
  IndexPart* parts;  // one for each block
};

}  // namespace striate
