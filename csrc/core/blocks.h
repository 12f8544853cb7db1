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
// The height of tiles of like height: 16 rows are 8 and 8, not 14 and a slow 2. rows > 0.
constexpr ptrdiff_t like_height(ptrdiff_t rows, ptrdiff_t most) {
  return ceil_div(rows, ceil_div(rows, most));
}

}  // namespace striate
