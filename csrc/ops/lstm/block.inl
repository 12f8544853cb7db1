// SPDX-License-Identifier: Apache-2.0
// One step of a recurrent cell on a block of rows and units; the equations are in lstm.h.
//
// A block has just been made by the register tiles of the step's product, so it is read from L1.
// Bound: an LSTM's three sigmoids and two tanh a unit, 19 and 20 instructions for 16 units with
// AVX-512 (simd/math_avx512.h), some 50 cycles at two a cycle, where its products take
// 8 (I + P) / 4 = 2048 at I = P = 512. Backward, one tanh.
#include "ops/lstm/lstm.h"
#include "simd/row.h"
//
#include "ops/lstm/cell.inl"

namespace striate {
namespace {

// Step::run on every vector of the block.
template <class Step, template <class> class Args, class T>
void each_vector(const Args<T>& a) {
  for (ptrdiff_t r = 0; r < a.rows; ++r)
    row_each<T>(0, a.units, [&](ptrdiff_t j, ptrdiff_t left) { Step::run(a, r, j, left); });
}

}  // namespace
}  // namespace striate
