// SPDX-License-Identifier: Apache-2.0
// 12 chains: 2 FMA ports x 4 cycles of latency want 8; 12 accumulators and 2 constants fit 16
// registers. Each chain starts from another value, or the compiler would merge them.
#include "ops/peak/peak.h"

namespace striate {
namespace {

template <class T>
double peak(ptrdiff_t rounds, T* sink) {
  constexpr int kChains = 12;
  const Vec<T> scale = broadcast(T(0.999)), shift = broadcast(T(0.001));
  Vec<T> chain[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(T(i) + *sink);
  for (ptrdiff_t r = 0; r < rounds; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) chain[i] = fma(chain[i], scale, shift);
  for (int i = 1; i < kChains; ++i) chain[0] = chain[0] + chain[i];
  *sink = sum(chain[0]);
  return 2.0 * double(rounds) * kChains * Vec<T>::lanes;
}

}  // namespace
}  // namespace striate
