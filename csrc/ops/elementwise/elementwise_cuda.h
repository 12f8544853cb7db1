// SPDX-License-Identifier: Apache-2.0
// What the launch of a strided kernel of elementwise_cuda.cu passes; host and device read this
// file.
#pragma once

namespace striate {

struct StridedPair {
  static constexpr int kMaxRank = 8;
  int rank;     // 1 at least
  long long n;  // elements of out
  long long shape[kMaxRank];
  long long a_stride[kMaxRank], b_stride[kMaxRank], out_stride[kMaxRank];  // 0 repeats
};

}  // namespace striate
