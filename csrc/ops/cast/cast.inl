// SPDX-License-Identifier: Apache-2.0
// Bound by memory: 6 bytes an element and some eight instructions a vector.
#include "ops/cast/cast.h"

namespace striate {
namespace {

void widen(const bfloat16* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, float* y,
           ptrdiff_t y_row) {
  constexpr int lanes = Vec<float>::lanes;
  for (; rows > 0; --rows, x += x_row, y += y_row) {
    ptrdiff_t i = 0;
    for (; i + lanes <= n; i += lanes) store(y + i, load_bf16(&x[i].bits, lanes));
    const int rest = int(n - i);
    if (rest > 0) store(y + i, load_bf16(&x[i].bits, rest), first<float>(rest));
  }
}

void narrow(const float* x, ptrdiff_t x_row, ptrdiff_t rows, ptrdiff_t n, bfloat16* y,
            ptrdiff_t y_row) {
  constexpr int lanes = Vec<float>::lanes;
  for (; rows > 0; --rows, x += x_row, y += y_row) {
    ptrdiff_t i = 0;
    for (; i + lanes <= n; i += lanes) store_bf16(&y[i].bits, load(x + i), lanes);
    const int rest = int(n - i);
    if (rest > 0) store_bf16(&y[i].bits, load(x + i, first<float>(rest)), rest);
  }
}

}  // namespace
}  // namespace striate
