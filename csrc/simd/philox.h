// SPDX-License-Identifier: Apache-2.0
// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
// 2011): a function from a 128-bit counter and a 64-bit key to four random 32-bit words. Included
// after a vec_<isa>.h.
//
// A round, on words c0 … c3 and key words k0, k1:
//   (c0, c1, c2, c3) <- (high(M1 c2) ^ c1 ^ k0, low(M1 c2), high(M0 c0) ^ c3 ^ k1, low(M0 c0))
// after which k0 += W0, k1 += W1. Ten of them.
//
// A lane of 64 bits holds one word of one counter in its lower half. The upper half is left to hold
// anything: products read lower halves only, and so does the store.
#pragma once

namespace striate {
namespace {

constexpr int kPhiloxRounds = 10;
#ifndef STRIATE_UNROLL_ROUNDS  // CUDA's compiler has another word for it: cuda/device/vec.cuh
#define STRIATE_UNROLL_ROUNDS _Pragma("GCC unroll 10")
#endif

struct PhiloxKeys {
  U64 k0[kPhiloxRounds], k1[kPhiloxRounds];

  explicit PhiloxKeys(uint64_t key) {
    uint32_t low = uint32_t(key), high = uint32_t(key >> 32);
    for (int i = 0; i < kPhiloxRounds; ++i) {
      k0[i] = u64(low), k1[i] = u64(high);
      low += 0x9e3779b9u, high += 0xbb67ae85u;
    }
  }
};

constexpr int kPhiloxWords = 4 * U64::lanes;  // words that one call makes

// The words of U64::lanes counters whose lower 64 bits are block, block + 1, … and whose upper 64
// bits are `high`.
inline void philox(const PhiloxKeys& keys, uint64_t block, uint64_t high, uint32_t* words) {
  const U64 m0 = u64(0xd2511f53u), m1 = u64(0xcd9e8d57u);
  U64 c0 = counted(block), c1 = upper(c0), c2 = u64(high), c3 = upper(c2);
  STRIATE_UNROLL_ROUNDS
  for (int i = 0; i < kPhiloxRounds; ++i) {
    U64 p0 = product(m0, c0), p1 = product(m1, c2);
    c0 = upper(p1) ^ c1 ^ keys.k0[i];
    c2 = upper(p0) ^ c3 ^ keys.k1[i];
    c1 = p1, c3 = p0;
  }
  store_fours(words, c0, c1, c2, c3);
}

}  // namespace
}  // namespace striate
