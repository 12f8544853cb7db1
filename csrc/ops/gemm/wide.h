// SPDX-License-Identifier: Apache-2.0
// Products of a large A that lies along k with few columns, as of a layer's filters with the pixels
// of a small image:
//
//                 NR = three vectors          rest
//              +------------+------------+  +---+
//   A[0..8] -> |   tile     |   tile     |  |dot|     A is read once, where it lies
//              +------------+------------+  +---+
//               B, turned into panels: L2    along k
//
// Packing A costs 0.3 cycles an element, a sixth of all where each meets 49 columns. As rows of a
// tile it need not be packed, but 49 columns are 4 vectors of which the last is all but empty; in
// panels of three they are one and a column, which `dot` adds, as 98 are two and two, and 196 four
// and four.
#pragma once
#include "ops/gemm/gemm.h"

namespace striate {

// Whether it takes the problem: a few columns beside whole panels, C = A B + bias.
template <class T>
bool is_wide(const GemmProblem<T>& p);

// Bytes that are packed of B for so many rows and columns and steps of k, 0 where it would not take
// them.
double wide_bytes(Dtype dtype, double m, double n, double k);

// One problem (batch is not looked at) for which is_wide() holds.
template <class T>
void gemm_wide(const GemmProblem<T>& p);

}  // namespace striate
