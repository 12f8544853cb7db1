// SPDX-License-Identifier: Apache-2.0
// Between float32 and bfloat16, the upper half of a float32 (8 bits of significand).
//
//   widen    y = x                              exact
//   narrow   y = x to the nearest bfloat16      ties to even; past the largest one inf; NaN
//                                               stays NaN, with its sign, quiet
//
// Denormals are numbers like others in both directions (integer arithmetic: no mode touches them);
// products take them as 0.
#pragma once
#include "core/operand.h"
#include "core/registry.h"

namespace striate {

namespace cuda {
struct Stream;
}

// y[r, i] = x[r, i]      r < rows, i < n. Rows anywhere, elements side by side; no overlap.
using WidenFn = void(const bfloat16* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, float* y,
                     ptrdiff_t y_row);
using NarrowFn = void(const float* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, bfloat16* y,
                      ptrdiff_t y_row);

#define ROW(name, T, isa, pass) STRIATE_WITH_##isa(pass name;)
#include "ops/cast/kernels.inc"
#undef ROW

// The preferred ones on this machine.
WidenFn* widen_kernel();
NarrowFn* narrow_kernel();

// to[i] = from[i] for every index: equal shapes, any strides (0 repeats in `from`), no overlap, one
// of them float32 and the other bfloat16.
void cast(const Operand& from, const Operand& to);

// The same on a GPU, of arrays without gaps in one memory order.
void cast_launch(const cuda::Stream& stream, const Operand& from, const Operand& to);

}  // namespace striate
