// SPDX-License-Identifier: Apache-2.0
// The equations are in dropout.h.
//
// Philox takes 6 instructions a round and vector of counters (AVX-512, where two exclusive ors are
// one; 8 in AVX2), 60 for 32 elements: 2 an element (AVX2: 80 for 16, 5 an element). Its chain of
// 10 products is about 70 cycles long, which runs of 32 elements overlap, as they are independent.
// Bound: from L3 on, memory (8 bytes an element); before, the products, about 1 cycle an element
// in AVX-512 and 2 in AVX2.
#include <cstring>

#include "ops/dropout/dropout.h"
#include "simd/philox.h"
//
#include "ops/dropout/rule.inl"

namespace striate {
namespace {

template <class T>
void dropout(const DropoutArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  const PhiloxKeys keys(a.key);
  const Rule<T> rule(a.rule);
  alignas(64) uint32_t words[kPhiloxWords];
  const int skip = int(a.index % 4);
  uint64_t block = a.index / 4;
  for (ptrdiff_t i = -skip; i < a.n; i += kPhiloxWords, block += U64::lanes) {
    philox(keys, block, 0, words);
    if (i >= 0 && i + kPhiloxWords <= a.n) {
#pragma GCC unroll 4
      for (int w = 0; w < kPhiloxWords; w += lanes)
        store(a.y + i + w, rule(load(a.x + i + w), words + w));
      continue;
    }
    for (int w = 0; w < kPhiloxWords; w += lanes) {
      ptrdiff_t at = i + w, left = a.n - at;
      if (at <= -lanes || left <= 0) continue;
      Mask<T> on = first<T>(int(left < lanes ? left : lanes)) & from<T>(int(at < 0 ? -at : 0));
      store(a.y + at, rule(load(a.x + at, on), words + w), on);
    }
  }
}

template <class T>
void dropout_by_words(const DropoutArgs<T>& a) {
  constexpr int lanes = Vec<T>::lanes;
  const Rule<T> rule(a.rule);
  ptrdiff_t i = 0;
  for (; i + lanes <= a.n; i += lanes) store(a.y + i, rule(load(a.x + i), a.words + i));
  if (i == a.n) return;
  uint32_t words[lanes] = {};
  std::memcpy(words, a.words + i, size_t(a.n - i) * sizeof *words);
  Mask<T> on = first<T>(int(a.n - i));
  store(a.y + i, rule(load(a.x + i, on), words), on);
}

inline void philox_words(const PhiloxArgs& a) {
  const PhiloxKeys keys(a.key);
  uint64_t block = a.block;
  for (ptrdiff_t i = -a.skip; i < a.n; i += kPhiloxWords, block += U64::lanes) {
    if (i >= 0 && i + kPhiloxWords <= a.n) {
      philox(keys, block, a.high, a.words + i);
      continue;
    }
    uint32_t words[kPhiloxWords];
    philox(keys, block, a.high, words);
    ptrdiff_t begin = i < 0 ? -i : 0, end = a.n - i < kPhiloxWords ? a.n - i : kPhiloxWords;
    std::memcpy(a.words + i + begin, words + begin, size_t(end - begin) * sizeof *words);
  }
}

}  // namespace
}  // namespace striate
