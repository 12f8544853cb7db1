// SPDX-License-Identifier: Apache-2.0
// What a caller of a convolution chooses, and the checks that make a problem of it.
#pragma once
#include "core/operand.h"
#include "ops/conv2d/conv2d.h"
#include "ops/conv2d_bf16/conv2d_bf16.h"
#include "ops/conv3d/conv3d.h"

namespace striate {

// Along D axes, (H, W) or (D, H, W). Padding behind the image may be negative: the transpose of a
// convolution that stops short of it.
template <int D>
struct ConvOptions {
  ptrdiff_t stride[D], dilation[D], before[D], after[D];
  ptrdiff_t groups;
};

// Throws std::invalid_argument, naming `op`, unless every option makes sense by itself.
void check(const char* op, const ConvOptions<2>& options);
void check(const char* op, const ConvOptions<3>& options);

// The problem, all checked, from the shapes of input (N, C, H, W) and weight (K, C / groups, R, S);
// in 3-D (N, C, D, H, W) and (K, C / groups, T, R, S).
ConvShape conv_shape(const char* op, const ptrdiff_t* x, const Operand& weight,
                     const ConvOptions<2>& options);
Conv3dShape conv_shape(const char* op, const ptrdiff_t* x, const Operand& weight,
                       const ConvOptions<3>& options);

// The three passes by the kind of their shape and elements.
inline void conv_fwd(const ConvShape& s, const bfloat16* x, const bfloat16* w,
                     const Epilogue<float>& e, float* y) {
  conv2d_fwd(s, x, w, e, y);
}
inline void conv_bwd_data(const ConvShape& s, const bfloat16* dy, const bfloat16* w,
                          const Epilogue<float>& e, float* dx) {
  conv2d_bwd_data(s, dy, w, e, dx);
}
inline void conv_bwd_weight(const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  conv2d_bwd_weight(s, x, dy, dw);
}
template <class T>
void conv_fwd(const ConvShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  conv2d_fwd(s, x, w, e, y);
}
template <class T>
void conv_fwd(const Conv3dShape& s, const T* x, const T* w, const Epilogue<T>& e, T* y) {
  conv3d_fwd(s, x, w, e, y);
}
template <class T>
void conv_bwd_data(const ConvShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  conv2d_bwd_data(s, dy, w, e, dx);
}
template <class T>
void conv_bwd_data(const Conv3dShape& s, const T* dy, const T* w, const Epilogue<T>& e, T* dx) {
  conv3d_bwd_data(s, dy, w, e, dx);
}
template <class T>
void conv_bwd_weight(const ConvShape& s, const T* x, const T* dy, T* dw) {
  conv2d_bwd_weight(s, x, dy, dw);
}
template <class T>
void conv_bwd_weight(const Conv3dShape& s, const T* x, const T* dy, T* dw) {
  conv3d_bwd_weight(s, x, dy, dw);
}
inline ptrdiff_t channels_of(const ConvShape& s) { return s.c; }
inline ptrdiff_t channels_of(const Conv3dShape& s) { return s.plane.c; }
inline ptrdiff_t filters_of(const ConvShape& s) { return s.k; }
inline ptrdiff_t filters_of(const Conv3dShape& s) { return s.plane.k; }

// The shape of the output, (N, K, P, Q) or (N, K, O, P, Q).
void output_shape(const ConvShape& s, ptrdiff_t* shape);
void output_shape(const Conv3dShape& s, ptrdiff_t* shape);

}  // namespace striate
