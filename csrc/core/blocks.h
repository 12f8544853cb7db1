// SPDX-License-Identifier: Apache-2.0
// Arithmetic of cutting sizes into blocks.
#pragma once
#include <cstddef>

namespace striate {

// How many blocks of b hold a.
constexpr ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }

}  // namespace striate
