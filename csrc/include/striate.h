/* SPDX-License-Identifier: Apache-2.0
 * striate's kernels for C, C++ and whatever calls C: matrix products, convolution, pooling, batch
 * normalisation, softmax, activations, on float32 and float64 in the caller's memory.
 *
 *     float a[6], b[6], c[4];
 *     int64_t sa[2] = {2, 3}, sb[2] = {3, 2}, sc[2] = {2, 2};
 *     striate_tensor ta = striate_tensor_of(a, STRIATE_FLOAT32, 2, sa), tb = ..., tc = ...;
 *     if (striate_gemm(&ta, &tb, NULL, NULL, &tc) != STRIATE_OK) puts(striate_last_error());
 *
 * Every function that can fail returns a status; striate_last_error() then says which argument was
 * wrong, what was expected and what came. Nothing is thrown. Functions may be called from any
 * thread; large problems are shared between the threads of a pool, and results are bitwise equal
 * for any number of them. Operands do not overlap results unless a function says so.
 *
 * Functions are only ever added, and structs keep their layout, as long as STRIATE_API is the same.
 */
#ifndef STRIATE_H
#define STRIATE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define STRIATE_EXPORT __attribute__((visibility("default")))
#else
#define STRIATE_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define STRIATE_API 1 /* of this header; striate_api() is the library's */
#define STRIATE_MAX_RANK 8

typedef int32_t striate_status;
enum {
  STRIATE_OK = 0,
  STRIATE_INVALID_ARGUMENT = 1, /* a shape, size, dtype, pointer or name */
  STRIATE_OUT_OF_MEMORY = 2,
  STRIATE_FAILED = 3 /* anything else, such as no thread to be had */
};

typedef int32_t striate_dtype;
enum { STRIATE_FLOAT32 = 1, STRIATE_FLOAT64 = 2 };

/* An array in the caller's memory. Strides count elements; they may be negative, and 0 in operands
 * to repeat. A result's elements must all lie apart. */
typedef struct striate_tensor {
  void* data; /* never written to where the tensor is an operand; may be null if a size is 0 */
  striate_dtype dtype;
  int32_t rank;
  int64_t shape[STRIATE_MAX_RANK];
  int64_t strides[STRIATE_MAX_RANK];
} striate_tensor;

/* An array in C order: the last axis is the fastest. */
static inline striate_tensor striate_tensor_of(const void* data, striate_dtype dtype, int32_t rank,
                                               const int64_t* shape) {
  striate_tensor t;
  int64_t stride = 1;
  int32_t i;
  t.data = (void*)data;
  t.dtype = dtype;
  t.rank = rank;
  for (i = 0; i < STRIATE_MAX_RANK; ++i) t.shape[i] = t.strides[i] = 1;
  for (i = rank < STRIATE_MAX_RANK ? rank - 1 : STRIATE_MAX_RANK - 1; i >= 0; --i) {
    t.shape[i] = shape[i];
    t.strides[i] = stride;
    stride = (int64_t)((uint64_t)stride * (uint64_t)shape[i]);
  }
  return t;
}

/* Images of shape (n, c, h, w) in channels-last memory, [n, h, w, c]: what the image functions work
 * on. They take any other order too, and copy. */
static inline striate_tensor striate_images(const void* data, striate_dtype dtype, int64_t n,
                                            int64_t c, int64_t h, int64_t w) {
  int64_t shape[4];
  striate_tensor t;
  shape[0] = n, shape[1] = c, shape[2] = h, shape[3] = w;
  t = striate_tensor_of(data, dtype, 4, shape);
  t.strides[0] = h * w * c, t.strides[1] = 1, t.strides[2] = w * c, t.strides[3] = c;
  return t;
}

/* --- the library ----------------------------------------------------------------------------- */

STRIATE_EXPORT int32_t striate_api(void);            /* STRIATE_API of the library */
STRIATE_EXPORT const char* striate_version(void);    /* "0.1.0" */
STRIATE_EXPORT const char* striate_last_error(void); /* of this thread; "" after success */
/* The instruction set in use, "scalar", "avx2" or "avx512"; null where STRIATE_ISA is wrong. */
STRIATE_EXPORT const char* striate_isa(void);
STRIATE_EXPORT int32_t striate_num_threads(void);
STRIATE_EXPORT striate_status striate_set_num_threads(int32_t count); /* 1 to 1024 */

/* --- arrays ---------------------------------------------------------------------------------- */

/* to[i] = from[i] for every index: equal shapes and dtypes, any strides. Also the way from one
 * memory order to another. */
STRIATE_EXPORT striate_status striate_copy(const striate_tensor* from, const striate_tensor* to);

/* --- matrix products ------------------------------------------------------------------------- */

/* What happens to a product before it is stored. Null stands for the defaults: alpha 1, beta 0,
 * no bias, no activation. */
typedef struct striate_epilogue {
  double alpha, beta;         /* striate_gemm only */
  const striate_tensor* bias; /* [N], or [K] for convolutions; null for none */
  const char* activation;     /* a name as in striate_activation, null for none */
  double parameter;           /* of the activation */
} striate_epilogue;
static inline striate_epilogue striate_epilogue_defaults(void) {
  striate_epilogue e;
  e.alpha = 1, e.beta = 0, e.bias = NULL, e.activation = NULL, e.parameter = 0;
  return e;
}

/* c = activation(alpha a b + beta c + bias): a [M, K], b [K, N], c [M, N], or with a batch in front
 * of any, where a batch of 1 is shared. A transpose is an exchange of strides. With beta 0, c is
 * not read. */
STRIATE_EXPORT striate_status striate_gemm(const striate_tensor* a, const striate_tensor* b,
                                           const striate_epilogue* epilogue,
                                           const striate_tensor* c);

/* --- convolution ----------------------------------------------------------------------------- */

typedef struct striate_conv2d {
  int64_t stride[2];
  int64_t padding[4]; /* top, bottom, left, right */
  int64_t dilation[2];
  int64_t groups;
} striate_conv2d;
static inline striate_conv2d striate_conv2d_defaults(void) {
  striate_conv2d p;
  p.stride[0] = p.stride[1] = p.dilation[0] = p.dilation[1] = p.groups = 1;
  p.padding[0] = p.padding[1] = p.padding[2] = p.padding[3] = 0;
  return p;
}

/* (P, Q), the output's size for images of (height, width) and filters of (r, s). */
STRIATE_EXPORT striate_status striate_conv2d_output_size(const striate_conv2d* p, int64_t height,
                                                         int64_t width, int64_t r, int64_t s,
                                                         int64_t size[2]);
/* y = activation(x * w + bias): x (N, C, H, W), w (K, C / groups, R, S), y (N, K, P, Q).
 * Cross-correlation, as in every deep-learning library. */
STRIATE_EXPORT striate_status striate_conv2d_forward(const striate_conv2d* p,
                                                     const striate_tensor* x,
                                                     const striate_tensor* w,
                                                     const striate_epilogue* epilogue,
                                                     const striate_tensor* y);
/* The gradient for x, which is also the transposed convolution. */
STRIATE_EXPORT striate_status striate_conv2d_backward_data(const striate_conv2d* p,
                                                           const striate_tensor* dy,
                                                           const striate_tensor* w,
                                                           const striate_tensor* dx);
/* The gradient for w. */
STRIATE_EXPORT striate_status striate_conv2d_backward_weight(const striate_conv2d* p,
                                                             const striate_tensor* x,
                                                             const striate_tensor* dy,
                                                             const striate_tensor* dw);

/* --- pooling --------------------------------------------------------------------------------- */

typedef struct striate_pool2d {
  int64_t kernel[2];
  int64_t stride[2];
  int64_t padding[2];
  int64_t dilation[2];       /* maximum only */
  int32_t ceil_mode;         /* 1: windows may stick out at the end */
  int32_t count_include_pad; /* mean only: 1 divides by the taps in the padding too */
} striate_pool2d;
/* Windows of h by w that do not overlap. */
static inline striate_pool2d striate_pool2d_windows(int64_t h, int64_t w) {
  striate_pool2d p;
  p.kernel[0] = p.stride[0] = h, p.kernel[1] = p.stride[1] = w;
  p.padding[0] = p.padding[1] = 0, p.dilation[0] = p.dilation[1] = 1;
  p.ceil_mode = 0, p.count_include_pad = 1;
  return p;
}

STRIATE_EXPORT striate_status striate_pool2d_output_size(const striate_pool2d* p, int64_t height,
                                                         int64_t width, int64_t size[2]);
/* Bytes of `taps`, which the maximum writes for its gradient, for images of x's shape. */
STRIATE_EXPORT striate_status striate_max_pool2d_taps_size(const striate_pool2d* p,
                                                           const striate_tensor* x, size_t* bytes);
/* y (N, C, P, Q) = the maximum of each window of x (N, C, H, W); the first of equal ones; a NaN
 * wins. taps: null, or memory of the size above. */
STRIATE_EXPORT striate_status striate_max_pool2d_forward(const striate_pool2d* p,
                                                         const striate_tensor* x,
                                                         const striate_tensor* y, void* taps);
STRIATE_EXPORT striate_status striate_max_pool2d_backward(const striate_pool2d* p,
                                                          const striate_tensor* dy,
                                                          const void* taps,
                                                          const striate_tensor* dx);
STRIATE_EXPORT striate_status striate_avg_pool2d_forward(const striate_pool2d* p,
                                                         const striate_tensor* x,
                                                         const striate_tensor* y);
STRIATE_EXPORT striate_status striate_avg_pool2d_backward(const striate_pool2d* p,
                                                          const striate_tensor* dy,
                                                          const striate_tensor* dx);
/* The mean over windows that cover x, as many as y has places: (N, C, 1, 1) is global. */
STRIATE_EXPORT striate_status striate_adaptive_avg_pool2d(const striate_tensor* x,
                                                          const striate_tensor* y);

/* --- normalisation, softmax, activations ------------------------------------------------------ */

/* y = (x - mean) / sqrt(var + eps) * weight + bias, per channel, of (N, C), (N, C, L) or
 * (N, C, H, W). The vectors are [C]; weight and bias may be null. y may be x. */
STRIATE_EXPORT striate_status striate_batch_norm_inference(
    const striate_tensor* x, const striate_tensor* mean, const striate_tensor* var,
    const striate_tensor* weight, const striate_tensor* bias, double eps, const striate_tensor* y);
/* Along an axis from 0 to rank - 1. y may be x. */
STRIATE_EXPORT striate_status striate_softmax(const striate_tensor* x, int32_t axis,
                                              const striate_tensor* y);
STRIATE_EXPORT striate_status striate_log_softmax(const striate_tensor* x, int32_t axis,
                                                  const striate_tensor* y);
/* y = f(x) by name: "relu", "gelu", "tanh", … `parameter` is leaky_relu's slope, elu's alpha,
 * softplus's beta; others ignore it, and those with two (hardtanh, threshold) are refused. y may be
 * x. */
STRIATE_EXPORT striate_status striate_activation(const char* name, double parameter,
                                                 const striate_tensor* x, const striate_tensor* y);
/* The name of activation number `index`, null behind the last one. */
STRIATE_EXPORT const char* striate_activation_name(int32_t index);

#ifdef __cplusplus
}
#endif

#endif /* STRIATE_H */
