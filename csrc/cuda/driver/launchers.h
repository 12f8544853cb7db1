// SPDX-License-Identifier: Apache-2.0
// What launchers (<op>_launch.cpp) have in common.
#pragma once
#include "cuda/driver/kernel.h"

namespace striate::cuda {

// Kernels, or tables of them, by dtype: of(null T*), as dispatch() of core/operand.h hands it out.
template <template <class> class Kernels>
struct ByDtype {
  Kernels<float> f32;
  Kernels<double> f64;
  Kernels<float>& of(const float*) { return f32; }
  Kernels<double>& of(const double*) { return f64; }
};

// Kernels of rows (cuda/device/row.cuh) are two: a warp for a row of at most 1024 elements, eight
// in a block, and a block of 256 threads for a longer one.
constexpr unsigned kRowThreads = 256, kWarpRows = kRowThreads / 32;
inline bool warp_a_row(ptrdiff_t n) { return n <= 1024; }
inline Grid grid_of_rows(const Stream& stream, ptrdiff_t rows, ptrdiff_t n) {
  return {{blocks_to_fill(stream, rows, warp_a_row(n) ? kWarpRows : 1)}, {kRowThreads}};
}

}  // namespace striate::cuda
