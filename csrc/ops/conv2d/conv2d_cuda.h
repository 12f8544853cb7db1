// SPDX-License-Identifier: Apache-2.0
// What the launch of a convolution's kernel passes; host and device read this file. The equations,
// letters and layouts are those of conv2d.h.
//
// A convolution is a matrix product whose operands are not all in memory (implicit GEMM); `product`
// is that of one group, batches are groups, and C's epilogue is the convolution's.
//
//   pass         A [M, K]                   B [K, N]             C [M, N]
//   fwd          patches of x               w transposed         y
//                [N P Q, R S C/g]           [R S C/g, K/g]       [N P Q, K/g]
//   bwd_data     patches of dy              w by taps            dx
//                [N H W, R S K/g]           [R S K/g, C/g]       [N H W, C/g]
//   bwd_weight   dy transposed              patches of x         dw
//                [K/g, N P Q]               [N P Q, R S C/g]     [K/g, R S C/g]
//
// With a stride of u x v the inputs of a convolution fall into u v phases: those of one phase are
// reached by the same taps, at consecutive outputs. bwd_data makes each a product of its own.
#pragma once
#include "cuda/device/divisor.h"
#include "ops/gemm/gemm_cuda.h"

namespace striate {

// Of one axis.
struct ConvAxis {
  int in, out, taps;
  int stride, before, dilation;
  // bwd_data: stride / gcd(stride, dilation) taps on, the output is dilation / gcd(…) before
  int tap_step, output_step;
  Divisor pixels;    // fwd, bwd_weight: out; bwd_data: ceil(in / stride), of the largest phase
  Divisor steps[2];  // fwd, bwd_weight: taps; bwd_data: ceil(taps / tap_step), of the phase with
                     // most; and one less, at least 1, of the others
};

template <class R>  // as GemmOf
struct ConvOf {
  // a_batch, b_batch and c_batch lead from group to group; c_ld is as the table says (y and dx: all
  // channels); a_ld is K for bwd_weight, else unused; b_ld is R S C/g for fwd, else unused.
  //   bwd_data: m is of the largest phase, for all; k is not read
  // May be cut into parts along k, as gemm_cuda.h says; bwd_data cuts every phase alike, and its
  // parts are as dx.
  // The bias runs from group to group.
  GemmOf<R> product;
  ConvAxis h, w;
  int images;
  Divisor channels;  // of a tap: C / groups, for bwd_data K / groups
  long long pixel;   // elements between the pixels that patches are taken of: C; bwd_data K

  // Of a block 256: grid (tiles, groups, z) and shared memory as gemm_cuda.h
  // says. z: parts; bwd_data parts of phases (stride_h * stride_w), a part's phases together.
};
using ConvCuda = ConvOf<float>;

}  // namespace striate
