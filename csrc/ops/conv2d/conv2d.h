// SPDX-License-Identifier: Apache-2.0
// 2-D convolution (cross-correlation) on channels-last images, and its two gradients.
//
//   y[n, p, q, k]  = f(b[k] + sum over r, s, c of x[n, p u + r d - top, q v + s e - left, c]
//                                                * w[k, r, s, c])                     fwd
//   dx[n, h, w, c] = sum over r, s, k of dy[n, p, q, k] * w[k, r, s, c]              bwd_data
//   dw[k, r, s, c] = sum over n, p, q of dy[n, p, q, k] * x[n, h, w, c]              bwd_weight
//
// with h = p u + r d - top, w = q v + s e - left; x is 0 outside the image. Memory is dense:
// x [N, H, W, C], y [N, P, Q, K], w [K, R, S, C / groups]. Group g maps channels
// [g C / groups, (g + 1) C / groups) to the like range of filters.
#pragma once
#include <cstddef>

#include "core/registry.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/parts.h"

namespace striate {

struct ConvShape {
  ptrdiff_t n, c, h, w;  // input
  ptrdiff_t k, r, s;     // filters
  ptrdiff_t p, q;        // output
  ptrdiff_t stride_h, stride_w;
  ptrdiff_t top, left;  // padding before; what follows the image is implied by p and q
  ptrdiff_t dilation_h, dilation_w;
  ptrdiff_t groups;

  ptrdiff_t group_c() const { return c / groups; }
  ptrdiff_t group_k() const { return k / groups; }
  double flops() const {
    return 2.0 * double(n) * double(p) * double(q) * double(k) * double(r) * double(s) *
           double(group_c());
  }
};

// Output size along one axis: (size + padding - dilation * (filter - 1) - 1) / stride + 1. Throws
// std::invalid_argument, naming `op`, where that is below 1 or the arguments make no sense.
ptrdiff_t conv_output_size(const char* op, const char* axis, ptrdiff_t size, ptrdiff_t padding,
                           ptrdiff_t filter, ptrdiff_t stride, ptrdiff_t dilation);

template <class T>
void conv2d_fwd(const ConvShape& shape, const T* x, const T* w, const Epilogue<T>& epilogue, T* y);
// The epilogue is there for transposed convolution, which is this pass read the other way.
template <class T>
void conv2d_bwd_data(const ConvShape& shape, const T* dy, const T* w, const Epilogue<T>& epilogue,
                     T* dx);
template <class T>
void conv2d_bwd_weight(const ConvShape& shape, const T* x, const T* dy, T* dw);

enum class ConvPass { fwd, bwd_data, bwd_weight };

// --- on a GPU: of float32 by the method of float32_precision(), of bfloat16 and of float64 ------

// fwd may sum over taps and channels in parts, bwd_data over taps and filters, bwd_weight over
// pixels.
// Throws std::invalid_argument, naming `op`, for sizes that kernels with indices of 32 bits can't
// take.
SumParts conv2d_parts(const char* op, int device, ConvPass pass, const ConvShape& shape,
                      Dtype dtype);

// The pass's operands in the order of the functions above, and sums of R: double for float64, else
// float. Results are sums too, but for bfloat16 those of fwd and bwd_data may be bfloat16. No
// activation in the epilogue, which bwd_weight does without.
template <class R>
struct ConvLaunch {
  Dtype dtype;  // of a and b
  const void *a, *b;
  Epilogue<R> epilogue;
  Dtype out_dtype;
  void* out;
  R* space;
};
template <class R>
void conv2d_launch(const cuda::Stream& stream, ConvPass pass, const ConvShape& shape,
                   const SumParts& parts, const ConvLaunch<R>& operands);

}  // namespace striate
