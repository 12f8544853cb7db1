// SPDX-License-Identifier: Apache-2.0
// The gradient of a maximum over few channels: each output adds its dy to the input that it came
// from. The vectors of channels of pool2d.inl would be mostly empty, and every input would ask all
// outputs that hold it; here an element of dy is a load, a look-up and an addition.
//
//   dx[h, w, c] = 0;  for p, q, c in order:  dx[place of tap taps[p, q, c] of window (p, q)] += dy
//
// An input's sum has the terms of the gather in the same order, so it is the same number. Windows
// overlap, so threads take whole images. A tap that its window does not have adds nothing.
#pragma once
#include <cstring>
#include <vector>

#include "ops/pool2d/pool2d.h"

namespace striate {

// Up to which it is the quicker way. Emerald Rapids, gathered and scattered: 3 channels of 3x3
// windows at every second pixel 166 and 24 us, 16 68 and 35, 32 127 and 72, 48 174 and 109; 48 of
// 2x2 115 and 95, but 64 98 and 174. AVX2 gains less from 32 on: 95 and 104, 183 and 157, 128 and
// 142.
constexpr ptrdiff_t kScatterChannels = 63;

class Scatter {
 public:
  Scatter(const PoolShape& shape, ptrdiff_t channels)
      : shape_(shape), channels_(channels), row_(shape.w.in * channels) {
    for (int r = 0; r < shape.h.kernel; ++r)
      for (int s = 0; s < shape.w.kernel; ++s) places_.push_back(place(r, s));
  }

  // One image. taps and dy [P, Q, C], dx [H, W, C].
  template <class T>
  void run(const T* dy, const uint8_t* taps, T* dx) const {
    std::memset(static_cast<void*>(dx), 0, size_t(shape_.h.in * row_) * sizeof(T));
    for (const PoolWindow& rows : shape_.h.windows)
      for (const PoolWindow& cols : shape_.w.windows) {
        const ptrdiff_t h = rows.begin - rows.tap * shape_.h.dilation;
        const ptrdiff_t w = cols.begin - cols.tap * shape_.w.dilation;
        const ptrdiff_t corner = h * row_ + w * channels_;  // maybe before the image
        if (rows.count == shape_.h.kernel && cols.count == shape_.w.kernel)
          add(dy, taps, dx, corner, [count = int(places_.size())](int tap) { return tap < count; });
        else
          add(dy, taps, dx, corner, [&](int tap) { return inside(tap, rows, cols); });
        dy += channels_, taps += channels_;
      }
  }

 private:
  ptrdiff_t place(int r, int s) const {
    return r * shape_.h.dilation * row_ + s * shape_.w.dilation * channels_;
  }
  template <class T, class Has>
  void add(const T* dy, const uint8_t* taps, T* dx, ptrdiff_t corner, Has has) const {
    const ptrdiff_t* places = places_.data();
    for (ptrdiff_t c = 0; c < channels_; ++c)
      if (has(taps[c])) dx[corner + places[taps[c]] + c] += dy[c];
  }
  bool inside(int tap, const PoolWindow& rows, const PoolWindow& cols) const {
    const int r = tap / shape_.w.kernel - rows.tap, s = tap % shape_.w.kernel - cols.tap;
    return r >= 0 && r < rows.count && s >= 0 && s < cols.count;
  }

  const PoolShape& shape_;
  ptrdiff_t channels_, row_;
  std::vector<ptrdiff_t> places_;  // of taps, from where tap (0, 0) would be
};

}  // namespace striate
