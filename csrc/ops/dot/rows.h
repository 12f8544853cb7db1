// SPDX-License-Identifier: Apache-2.0
// Host and device read this file; ptrdiff_t is named before.
#pragma once

namespace striate {

// Rows of a matrix: `row` elements apart, unit stride along a row.
template <class T>
struct Rows {
  T* data;
  ptrdiff_t row;
  // Inlined always: a copy of its own would be a weak symbol in the files of an ISA.
  __attribute__((always_inline)) T* at(ptrdiff_t i) const { return data + i * row; }
  // From row i and column j on; nothing stays nothing.
  __attribute__((always_inline)) Rows from(ptrdiff_t i, ptrdiff_t j) const {
    return {data ? data + i * row + j : data, row};
  }
};

}  // namespace striate
