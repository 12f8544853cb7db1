// SPDX-License-Identifier: Apache-2.0
// The rate at which this machine multiplies and adds: what benchmarks call 100 %.
#pragma once
#include <string>

#include "core/operand.h"
#include "core/registry.h"
#include "cuda/driver/stream.h"

namespace striate {

// Runs `rounds` of independent multiply-adds from registers alone and returns how many
// floating-point operations that was. *sink keeps the compiler from dropping them.
template <class T>
using PeakFn = double(ptrdiff_t rounds, T* sink);

#define ROW(name, T, isa) STRIATE_WITH_##isa(PeakFn<T> name;)
#include "ops/peak/kernels.inc"
#undef ROW

// On every thread of the pool at once. Returns the operations of all of them.
double peak_fma(Dtype dtype, ptrdiff_t rounds);

// On a GPU, as peak_cuda.cu says; `out` tells the grid. `unit` is "tf32", "bf16" or "f16".
double peak_fma_launch(const cuda::Stream& stream, ptrdiff_t rounds, const Operand& out);
double peak_mma_launch(const cuda::Stream& stream, const std::string& unit, ptrdiff_t rounds,
                       const Operand& x, const Operand& out);

}  // namespace striate
