// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d_bf16/windows.h"

#include <algorithm>
#include <cstring>

namespace striate {

void Windows::copy(ptrdiff_t i0, ptrdiff_t i1, ptrdiff_t begin, ptrdiff_t count, bfloat16* to,
                   ptrdiff_t to_row) const {
  if (count == 0) return;
  const ptrdiff_t first = begin / depth, last = (begin + count - 1) / depth;
  ptrdiff_t q = i0 % cols, p = i0 / cols % rows;
  const bfloat16* image = in.data + i0 / cols / rows * in.image;
  for (ptrdiff_t i = i0; i < i1; ++i, to += to_row) {
    const ptrdiff_t h0 = p * step_h, w0 = q * step_w;
    for (ptrdiff_t t = first; t <= last;) {
      const Tap& tap = taps[size_t(t)];
      const ptrdiff_t h = h0 + tap.h, w = w0 + tap.w;
      const bool inside = h >= 0 && h < in_h && w >= 0 && w < in_w;
      // Neighbouring taps whose values are neighbours are one run.
      ptrdiff_t end = t + 1;
      if (inside && in.pixel == depth)
        while (end <= last && taps[size_t(end)].h == tap.h &&
               taps[size_t(end)].w == tap.w + (end - t) && w + (end - t) < in_w)
          ++end;
      const ptrdiff_t from = std::max(t * depth, begin),
                      to_k = std::min(end * depth, begin + count);
      const size_t bytes = size_t(to_k - from) * sizeof(bfloat16);
      if (inside)
        std::memcpy(to + (from - begin), image + h * in.row + w * in.pixel + (from - t * depth),
                    bytes);
      else
        std::memset(to + (from - begin), 0, bytes);
      t = end;
    }
    if (++q == cols) {
      q = 0;
      if (++p == rows) p = 0, image += in.image;
    }
  }
}

}  // namespace striate
