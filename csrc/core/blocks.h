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

// The same where heights may differ by one: 49 rows of at most 6 are four of 6 and five of 5, not
// eight of 6 and a slow 1. Tile t begins at row begin(t).
struct LikeTiles {
  ptrdiff_t count, least, taller;
  LikeTiles(ptrdiff_t rows, ptrdiff_t most)
      : count(ceil_div(rows, most)), least(rows / count), taller(rows % count) {}
  ptrdiff_t begin(ptrdiff_t tile) const { return tile * least + (tile < taller ? tile : taller); }
};

}  // namespace striate
