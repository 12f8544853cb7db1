// SPDX-License-Identifier: Apache-2.0
// Pooling of images (N, C, H, W) in channels-last memory over windows of R x S taps.
//
//   max   y[n, c, p, q] = max over taps of x[n, c, h, w]
//   sum   y[n, c, p, q] = (sum over taps of x[n, c, h, w]) / divisor[p, q]
//   lp2   y[n, c, p, q] = sqrt((sum over taps of x[n, c, h, w]^2) / divisor[p, q])
//
// Taps outside the image do not count. The maximum is the first of equal ones in the order of taps
// (rows, then columns); a NaN beats every number, and a later NaN an earlier one, as in PyTorch.
// What a maximum's gradient needs is the tap it came from, numbered r * S + s inside the window: a
// byte for windows of up to 256 taps, else a T.
#pragma once
#include <cstdint>
#include <vector>

#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

// The taps of one output along one axis that lie inside: begin, begin + dilation, … (`count` of
// them), the first being tap number `tap`. `padded` counts those inside the padding as well.
struct PoolWindow {
  ptrdiff_t begin;
  int tap, count, padded;
};

// One output row of one image.
template <class T>
struct PoolArgs {
  const T* x;              // [H, W, channels]
  ptrdiff_t x_row, x_col;  // strides of H and W
  PoolWindow rows;         // of this output row
  const PoolWindow* cols;  // [Q]
  ptrdiff_t dilation_h, dilation_w;
  ptrdiff_t q, channels;
  T row_divisor;
  const T* col_divisor;  // [Q]; divisor = row_divisor * col_divisor[q]
  int width;             // S
  T* y;                  // [Q, channels]
  ptrdiff_t y_col;       // stride of Q, of the taps too
  uint8_t* taps8;        // [Q, channels], or null
  T* taps;               // the same for wide windows, or null
  bool past_caches;      // y, which then lies in whole vectors
  // Elements from a window's rows, from number `ask` on, to those of the next output row, which are
  // asked for meanwhile.
  ptrdiff_t ahead;
  int ask;
};

// An output whose window holds a given input, as its tap number `tap` along the axis.
struct PoolHit {
  int out, tap;
};

// One row of dx of one image: for every input, the sum over the outputs whose windows hold it.
//   max   dx[h, w] = sum of dy[p, q] where taps[p, q] is this input's tap
//   sum   dx[h, w] = sum of dy[p, q] / divisor[p, q]
template <class T>
struct PoolBackwardArgs {
  const T* dy;               // [P, Q, channels]
  const uint8_t* taps8;      // as dy, or null
  const T* taps;             // as dy, or null
  ptrdiff_t dy_row, dy_col;  // strides of P and Q
  const PoolHit* rows;       // the outputs that hold this input row
  int row_count;
  const PoolHit* cols;  // those of input column w: cols[col_begin[w] … [w + 1])
  const int* col_begin;
  ptrdiff_t w, channels;
  const T* scale;  // [P, Q], 1 / divisor
  ptrdiff_t q;     // Q
  int width;       // S
  T* dx;           // [W, channels]
  ptrdiff_t dx_col;
  bool past_caches;         // dx, which then lies in whole vectors
  const PoolWindow* apart;  // [Q], where no two windows hold the same input; else null
};

template <class T>
using PoolFn = void(const PoolArgs<T>&);
template <class T>
using PoolBackwardFn = void(const PoolBackwardArgs<T>&);

#define FORWARD(name, T, isa, kind) STRIATE_WITH_##isa(PoolFn<T> name;)
#define BACKWARD(name, T, isa, kind) STRIATE_WITH_##isa(PoolBackwardFn<T> name;)
#include "ops/pool2d/kernels.inc"
#undef FORWARD
#undef BACKWARD

// --- drivers -------------------------------------------------------------------------------------

enum class Pool { max, sum, lp2 };

// The windows along one axis.
struct PoolAxis {
  ptrdiff_t in, out, dilation;
  int kernel;  // taps of the largest window
  std::vector<PoolWindow> windows;
  int stride, padding;  // 0 stride: the windows of adaptive pooling
};

struct PoolStep {
  ptrdiff_t kernel, stride, padding, dilation;
};

// Windows at every `stride`, PyTorch's rule for the number of outputs; throws where there would be
// none, for padding over half of the window, and for sizes below 1.
PoolAxis pool_axis(const char* op, ptrdiff_t in, const PoolStep& step, bool ceil_mode);
// `out` windows that cover the axis: from floor(i * in / out) to ceil((i + 1) * in / out).
PoolAxis adaptive_pool_axis(const char* op, ptrdiff_t in, ptrdiff_t out);

// What a sum is divided by: a number; the taps inside the image; those inside the padding too; or,
// for lp2, the share of the window that is there.
struct PoolDivisor {
  enum { number, inside, padded, share } kind = number;
  double value = 1;
};

struct PoolShape {
  PoolAxis h, w;
  bool wide() const { return ptrdiff_t(h.kernel) * w.kernel > 256; }
};

// y (N, C, P, Q). taps: null, or dense [N, P, Q, C] memory of uint8_t, or of T if shape.wide().
void pool2d(Pool kind, const Operand& x, const PoolShape& shape, const PoolDivisor& divisor,
            const Operand& y, void* taps);
// dx (N, C, H, W). kind is max, with taps, or sum.
void pool2d_backward(Pool kind, const Operand& dy, const void* taps, const PoolShape& shape,
                     const PoolDivisor& divisor, const Operand& dx);
// The same on a GPU, of dense channels-last memory on either side.
void pool2d_launch(const cuda::Stream& stream, Pool kind, const Operand& x, const PoolShape& shape,
                   const PoolDivisor& divisor, const Operand& y, void* taps);
void pool2d_backward_launch(const cuda::Stream& stream, Pool kind, const Operand& dy,
                            const void* taps, const PoolShape& shape, const PoolDivisor& divisor,
                            const Operand& dx);
// Taps [N, P, Q, C] as positions h * W + w in the input plane.
void pool2d_indices(const void* taps, Dtype dtype, ptrdiff_t n, ptrdiff_t channels,
                    const PoolShape& shape, int64_t* indices);

// y = 0, then y[n, c, indices[n, p, q, c]] = x[n, c, p, q]; of equal indices the last one stays.
// Throws std::out_of_range for an index outside the output plane.
void max_unpool2d(const Operand& x, const int64_t* indices, const Operand& y);
// dx[n, c, p, q] = dy[n, c, indices[n, p, q, c]]
void max_unpool2d_backward(const Operand& dy, const int64_t* indices, const Operand& dx);

}  // namespace striate
