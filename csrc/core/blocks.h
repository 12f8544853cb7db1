// SPDX-License-Identifier: Apache-2.0
// Arithmetic of cutting sizes into blocks.
#pragma once
#include <cstddef>

namespace striate {

// How many blocks of b > 0 hold a >= 0.
constexpr ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
// The largest integer up to a / b, b > 0.
constexpr ptrdiff_t floor_div(ptrdiff_t a, ptrdiff_t b) {
  return a >= 0 ? a / b : -ceil_div(-a, b);
}

}  // namespace striate
