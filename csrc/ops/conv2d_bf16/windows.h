// SPDX-License-Identifier: Apache-2.0
// The values that filters meet, as a matrix which is never built:
//
//   A[pixel, (tap, channel)] = in[pixel under the tap, channel], 0 outside the image
//
// Runs of it are copied where a block of a product is packed (gemm_bf16/words.h).
#pragma once
#include <vector>

#include "ops/conv2d/implicit.h"

namespace striate {

struct Windows {
  ptrdiff_t rows, cols;  // of output pixels, in each image
  Image<const bfloat16> in;
  ptrdiff_t in_h, in_w;
  ptrdiff_t step_h, step_w;  // input pixels an output pixel
  ptrdiff_t depth;           // channels under a tap
  std::vector<Tap> taps;     // only their h and w

  // A[i, k] for i0 <= i < i1, begin <= k < begin + count, to to[(i - i0) * to_row + k - begin].
  void copy(ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t begin, ptrdiff_t count, bfloat16* to,
            ptrdiff_t to_row) const;
};

}  // namespace striate
