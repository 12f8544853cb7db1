// SPDX-License-Identifier: Apache-2.0
// Division of indices by a number that a launch knows: a product instead of some thirty
// instructions. Host and device read this file.
#pragma once

namespace striate {

// n / value for 0 <= n < 2^31: with 2^shift >= value the smallest such power,
// n / value = (high half of n multiplier + n) >> shift, multiplier = floor(2^32 (2^shift - value) /
// value) + 1. (Granlund and Montgomery, Division by invariant integers using multiplication, 1994.)
struct Divisor {
  int value;
  unsigned multiplier;
  int shift;

  static Divisor of(int value) {
    int shift = 0;
    while ((1ll << shift) < value) ++shift;
    const unsigned long long rest = (1ull << shift) - (unsigned long long)value;
    return {value, unsigned((rest << 32) / (unsigned long long)value + 1), shift};
  }
  int quotient(int n) const {
    const unsigned high = unsigned(((unsigned long long)unsigned(n) * multiplier) >> 32);
    return int((high + unsigned(n)) >> shift);
  }
};

}  // namespace striate
