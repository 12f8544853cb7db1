// SPDX-License-Identifier: Apache-2.0
// N strided operands of one shape; host and device read this file (device: strided.cuh).
#pragma once

namespace striate {

template <int N>
struct Strides {
  static constexpr int kMaxRank = 8;
  int rank;     // 1 at least
  long long n;  // elements
  long long shape[kMaxRank];
  long long stride[N][kMaxRank];  // in elements; 0 repeats

  // From the loops of those operands (core/loops.h).
  template <class Loops>
  static Strides of(const Loops& loops, long long n) {
    Strides s{};
    s.rank = loops.rank(), s.n = n;
    for (int i = 0; i < s.rank; ++i) {
      s.shape[i] = loops.size(i);
      for (int k = 0; k < N; ++k) s.stride[k][i] = loops.stride(i, k);
    }
    return s;
  }
};

}  // namespace striate
