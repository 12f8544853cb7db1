/* SPDX-License-Identifier: Apache-2.0
 * striate's kernels for C, C++ and whatever calls C, forward and backward, on float32 and float64
 * in the caller's memory: matrix products, convolution, pooling, normalisation, activations,
 * losses, embeddings, dropout, recurrent layers, optimizers. A network can be trained with them
 * (examples/cpp/training.cpp).
 *
 *     float a[6], b[6], c[4];
 *     int64_t sa[2] = {2, 3}, sb[2] = {3, 2}, sc[2] = {2, 2};
 *     striate_tensor ta = striate_tensor_of(a, STRIATE_FLOAT32, 2, sa), tb = ..., tc = ...;
 *     if (striate_gemm(&ta, &tb, NULL, &tc) != STRIATE_OK) puts(striate_last_error());
 *
 * Every function that can fail returns a status; striate_last_error() then says which argument was
 * wrong, what was expected and what came. Nothing is thrown. Functions may be called from any
 * thread; large problems are shared between the threads of a pool, and results are bitwise equal
 * for any number of them. Operands do not overlap results unless a function says so.
 *
 * A gradient dx has the shape of x; backward functions write their results, they do not add to
 * them. Results that are named as such may be null if they are not wanted. Integers (labels,
 * indices) are copied before they are used.
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

#define STRIATE_CALL STRIATE_EXPORT striate_status

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
/* The instruction set in use, "scalar", "avx2", "avx512" or "avx512bf16"; null where STRIATE_ISA is
 * wrong. */
STRIATE_EXPORT const char* striate_isa(void);
STRIATE_EXPORT int32_t striate_num_threads(void);
STRIATE_CALL striate_set_num_threads(int32_t count); /* 1 to 1024 */

/* --- arrays ---------------------------------------------------------------------------------- */

/* to[i] = from[i] for every index: equal shapes and dtypes, any strides. Also the way from one
 * memory order to another. */
STRIATE_CALL striate_copy(const striate_tensor* from, const striate_tensor* to);

/* out = x with before[i] elements of `value` put in front along axis i and after[i] behind it;
 * negative numbers crop. One number an axis. */
STRIATE_CALL striate_pad(const striate_tensor* x, const int64_t* before, const int64_t* after,
                         double value, const striate_tensor* y);
/* y = a op b, both repeated to y's shape: "add", "sub", "mul", "div", "maximum" or "minimum". y may
 * be a or b. */
STRIATE_CALL striate_binary(const char* op, const striate_tensor* a, const striate_tensor* b,
                            const striate_tensor* y);
/* y = the sum of x over `count` of its axes, which y does not have: the gradient of a bias. */
STRIATE_CALL striate_sum(const striate_tensor* x, const int32_t* axes, int32_t count,
                         const striate_tensor* y);
/* y, of rank 0, = the sum of the "squares" or the "absolute" values of all elements of x, or the
 * "largest" of these: what clips gradients by their norm. */
STRIATE_CALL striate_vector_norm(const char* what, const striate_tensor* x,
                                 const striate_tensor* y);

/* --- matrix products ------------------------------------------------------------------------- */

/* What happens to a product before it is stored. Null stands for the defaults: alpha 1, beta 0,
 * no bias, no activation. */
typedef struct striate_epilogue {
  double alpha, beta;         /* striate_gemm only */
  const striate_tensor* bias; /* [N], or [K] for convolutions; null for none */
  const char* activation;     /* a name as in striate_activation, null for none */
  double parameter[2];        /* of the activation */
} striate_epilogue;
static inline striate_epilogue striate_epilogue_defaults(void) {
  striate_epilogue e;
  e.alpha = 1, e.beta = 0, e.bias = NULL, e.activation = NULL;
  e.parameter[0] = e.parameter[1] = 0;
  return e;
}

/* c = activation(alpha a b + beta c + bias): a [M, K], b [K, N], c [M, N], or with a batch in front
 * of any, where a batch of 1 is shared. A transpose is an exchange of strides. With beta 0, c is
 * not read. */
STRIATE_CALL striate_gemm(const striate_tensor* a, const striate_tensor* b,
                          const striate_epilogue* epilogue, const striate_tensor* c);

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
STRIATE_CALL striate_conv2d_output_size(const striate_conv2d* p, int64_t height, int64_t width,
                                        int64_t r, int64_t s, int64_t size[2]);
/* y = activation(x * weight + bias): x (N, C, H, W), weight (K, C / groups, R, S), y (N, K, P, Q).
 * Cross-correlation, as in every deep-learning library. */
STRIATE_CALL striate_conv2d_forward(const striate_conv2d* p, const striate_tensor* x,
                                    const striate_tensor* weight, const striate_epilogue* epilogue,
                                    const striate_tensor* y);
/* The gradient for x; with an epilogue, whose bias is [C], the transposed convolution. */
STRIATE_CALL striate_conv2d_backward_data(const striate_conv2d* p, const striate_tensor* dy,
                                          const striate_tensor* weight,
                                          const striate_epilogue* epilogue,
                                          const striate_tensor* dx);
/* The gradient for weight. That for bias is the sum of dy over its axes 0, 2 and 3. */
STRIATE_CALL striate_conv2d_backward_weight(const striate_conv2d* p, const striate_tensor* x,
                                            const striate_tensor* dy,
                                            const striate_tensor* dweight);

/* The same for volumes (N, C, D, H, W) and weight (K, C / groups, T, R, S), also in memory where C
 * is the fastest axis, or copied to it. */
typedef struct striate_conv3d {
  int64_t stride[3];
  int64_t padding[6]; /* front, back, top, bottom, left, right */
  int64_t dilation[3];
  int64_t groups;
} striate_conv3d;
static inline striate_conv3d striate_conv3d_defaults(void) {
  striate_conv3d p;
  int i;
  for (i = 0; i < 3; ++i)
    p.stride[i] = p.dilation[i] = 1, p.padding[2 * i] = p.padding[2 * i + 1] = 0;
  p.groups = 1;
  return p;
}
STRIATE_CALL striate_conv3d_output_size(const striate_conv3d* p, const int64_t size[3],
                                        const int64_t filter[3], int64_t out[3]);
STRIATE_CALL striate_conv3d_forward(const striate_conv3d* p, const striate_tensor* x,
                                    const striate_tensor* weight, const striate_epilogue* epilogue,
                                    const striate_tensor* y);
STRIATE_CALL striate_conv3d_backward_data(const striate_conv3d* p, const striate_tensor* dy,
                                          const striate_tensor* weight,
                                          const striate_epilogue* epilogue,
                                          const striate_tensor* dx);
STRIATE_CALL striate_conv3d_backward_weight(const striate_conv3d* p, const striate_tensor* x,
                                            const striate_tensor* dy,
                                            const striate_tensor* dweight);

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

STRIATE_CALL striate_pool2d_output_size(const striate_pool2d* p, int64_t height, int64_t width,
                                        int64_t size[2]);
/* Bytes of `taps`, which the maximum writes for its gradient, for images of x's shape. */
STRIATE_CALL striate_max_pool2d_taps_size(const striate_pool2d* p, const striate_tensor* x,
                                          size_t* bytes);
/* y (N, C, P, Q) = the maximum of each window of x (N, C, H, W); the first of equal ones; a NaN
 * wins. taps: null, or memory of the size above. */
STRIATE_CALL striate_max_pool2d_forward(const striate_pool2d* p, const striate_tensor* x,
                                        const striate_tensor* y, void* taps);
STRIATE_CALL striate_max_pool2d_backward(const striate_pool2d* p, const striate_tensor* dy,
                                         const void* taps, const striate_tensor* dx);
STRIATE_CALL striate_avg_pool2d_forward(const striate_pool2d* p, const striate_tensor* x,
                                        const striate_tensor* y);
STRIATE_CALL striate_avg_pool2d_backward(const striate_pool2d* p, const striate_tensor* dy,
                                         const striate_tensor* dx);
/* The mean over windows that cover x, as many as y has places: (N, C, 1, 1) is global. */
STRIATE_CALL striate_adaptive_avg_pool2d(const striate_tensor* x, const striate_tensor* y);
STRIATE_CALL striate_adaptive_avg_pool2d_backward(const striate_tensor* dy,
                                                  const striate_tensor* dx);

/* y from x, both (N, C, L), (N, C, H, W) or (N, C, D, H, W), by "nearest", "nearest-exact",
 * "linear" or "cubic" along every axis behind (N, C). `scales`: output pixels an input pixel for
 * each of these axes, null or 0 to have them from the sizes; align_corners 1 puts the centres of
 * the outermost pixels on each other instead of their edges. */
STRIATE_CALL striate_interpolate_forward(const char* mode, const double* scales,
                                         int32_t align_corners, const striate_tensor* x,
                                         const striate_tensor* y);
STRIATE_CALL striate_interpolate_backward(const char* mode, const double* scales,
                                          int32_t align_corners, const striate_tensor* dy,
                                          const striate_tensor* dx);

/* --- activations ------------------------------------------------------------------------------ */

/* y = f(x) by name: "relu", "gelu", "tanh", … a and b are its parameters: a leaky_relu's slope,
 * elu's and celu's alpha, softplus's beta, the lambda of hardshrink and softshrink; a and b the
 * limits of hardtanh, the limit of threshold and the value below it. Others ignore them. y may be
 * x. */
STRIATE_CALL striate_activation_forward(const char* name, double a, double b,
                                        const striate_tensor* x, const striate_tensor* y);
/* dx = f' dy, where `saved` is x or y, as striate_activation_saves says. dx may be saved or dy. */
STRIATE_CALL striate_activation_backward(const char* name, double a, double b,
                                         const striate_tensor* saved, const striate_tensor* dy,
                                         const striate_tensor* dx);
/* "x" or "y": what the gradient is made from. Null for names that are none. */
STRIATE_EXPORT const char* striate_activation_saves(const char* name);
/* The name of activation number `index`, null behind the last one. */
STRIATE_EXPORT const char* striate_activation_name(int32_t index);

/* x, or weight x where x <= 0; weight repeats to the shape of x. y may be x. */
STRIATE_CALL striate_prelu_forward(const striate_tensor* x, const striate_tensor* weight,
                                   const striate_tensor* y);
STRIATE_CALL striate_prelu_backward(const striate_tensor* dy, const striate_tensor* x,
                                    const striate_tensor* weight, const striate_tensor* dx,
                                    const striate_tensor* dweight);

/* Along an axis from 0 to rank - 1; backward from the forward's result. y may be x. */
STRIATE_CALL striate_softmax_forward(const striate_tensor* x, int32_t axis,
                                     const striate_tensor* y);
STRIATE_CALL striate_softmax_backward(const striate_tensor* dy, const striate_tensor* y,
                                      int32_t axis, const striate_tensor* dx);
STRIATE_CALL striate_log_softmax_forward(const striate_tensor* x, int32_t axis,
                                         const striate_tensor* y);
STRIATE_CALL striate_log_softmax_backward(const striate_tensor* dy, const striate_tensor* y,
                                          int32_t axis, const striate_tensor* dx);

/* --- normalisation -----------------------------------------------------------------------------
 */

/* y = (x - mean) / sqrt(var + eps) * weight + bias, per channel, of (N, C), (N, C, L) or
 * (N, C, H, W). The vectors are [C]; weight and bias may be null. y may be x. */
STRIATE_CALL striate_batch_norm_inference(const striate_tensor* x, const striate_tensor* mean,
                                          const striate_tensor* var, const striate_tensor* weight,
                                          const striate_tensor* bias, double eps,
                                          const striate_tensor* y);
/* The same by the batch's own statistics, which go to mean and invstd = 1 / sqrt(var + eps), [C],
 * for the gradient. running_mean and running_var, [C] or null, move towards the batch's by
 * `momentum`. */
STRIATE_CALL striate_batch_norm_forward(const striate_tensor* x, const striate_tensor* weight,
                                        const striate_tensor* bias,
                                        const striate_tensor* running_mean,
                                        const striate_tensor* running_var, double momentum,
                                        double eps, const striate_tensor* y,
                                        const striate_tensor* mean, const striate_tensor* invstd);
STRIATE_CALL striate_batch_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                         const striate_tensor* weight, const striate_tensor* mean,
                                         const striate_tensor* invstd, const striate_tensor* dx,
                                         const striate_tensor* dweight,
                                         const striate_tensor* dbias);
/* Over each image's pixels and the channels of one of `groups` groups; mean and invstd are
 * (N, groups). As many groups as channels: instance normalisation. */
STRIATE_CALL striate_group_norm_forward(const striate_tensor* x, int64_t groups,
                                        const striate_tensor* weight, const striate_tensor* bias,
                                        double eps, const striate_tensor* y,
                                        const striate_tensor* mean, const striate_tensor* invstd);
STRIATE_CALL striate_group_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                         int64_t groups, const striate_tensor* weight,
                                         const striate_tensor* mean, const striate_tensor* invstd,
                                         const striate_tensor* dx, const striate_tensor* dweight,
                                         const striate_tensor* dbias);
/* Over the last `axes` axes, whose shape weight and bias have; mean and invstd have that of the
 * others. dweight is not written where weight is null, and dweight and dbias may be null. */
STRIATE_CALL striate_layer_norm_forward(const striate_tensor* x, int32_t axes,
                                        const striate_tensor* weight, const striate_tensor* bias,
                                        double eps, const striate_tensor* y,
                                        const striate_tensor* mean, const striate_tensor* invstd);
STRIATE_CALL striate_layer_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                         int32_t axes, const striate_tensor* weight,
                                         const striate_tensor* mean, const striate_tensor* invstd,
                                         const striate_tensor* dx, const striate_tensor* dweight,
                                         const striate_tensor* dbias);
/* y = x * invstd * weight with invstd = 1 / sqrt(mean of x^2 + eps). */
STRIATE_CALL striate_rms_norm_forward(const striate_tensor* x, int32_t axes,
                                      const striate_tensor* weight, double eps,
                                      const striate_tensor* y, const striate_tensor* invstd);
STRIATE_CALL striate_rms_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                       int32_t axes, const striate_tensor* weight,
                                       const striate_tensor* invstd, const striate_tensor* dx,
                                       const striate_tensor* dweight);
/* y = x / (k + alpha / size * sum of the squares of `size` neighbouring channels)^beta. */
STRIATE_CALL striate_local_response_norm_forward(const striate_tensor* x, int64_t size,
                                                 double alpha, double beta, double k,
                                                 const striate_tensor* y);
STRIATE_CALL striate_local_response_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                                  int64_t size, double alpha, double beta, double k,
                                                  const striate_tensor* dx);

/* --- losses: each with its gradient, made in the same pass -------------------------------------
 */

typedef struct striate_cross_entropy {
  const striate_tensor* weight; /* [C], of the classes; or null */
  int64_t ignore_index;         /* a label that does not count */
  double label_smoothing;       /* 0 to 1 */
  const char* reduction;        /* "mean", "sum" or "none" */
} striate_cross_entropy;
static inline striate_cross_entropy striate_cross_entropy_defaults(void) {
  striate_cross_entropy p;
  p.weight = NULL, p.ignore_index = -100, p.label_smoothing = 0, p.reduction = "mean";
  return p;
}
/* x (C), (N, C) or (N, C, d1, …) before softmax; labels in C order and the shape of x without its
 * axis of classes, which loss has too with the reduction "none"; else loss has rank 0. dx, of the
 * shape of x, or null: the gradient of the loss. p null: the defaults. */
STRIATE_CALL striate_cross_entropy_labels(const striate_cross_entropy* p, const striate_tensor* x,
                                          const int64_t* labels, const striate_tensor* loss,
                                          const striate_tensor* dx);
/* The same against probabilities of the shape of x. */
STRIATE_CALL striate_cross_entropy_probabilities(const striate_cross_entropy* p,
                                                 const striate_tensor* x,
                                                 const striate_tensor* target,
                                                 const striate_tensor* loss,
                                                 const striate_tensor* dx);
/* "mse_loss" (x - target)^2, "l1_loss" |x - target|, "huber_loss" (parameter: delta) or
 * "binary_cross_entropy_with_logits", of any shape. */
STRIATE_CALL striate_pointwise_loss(const char* name, double parameter, const char* reduction,
                                    const striate_tensor* x, const striate_tensor* target,
                                    const striate_tensor* loss, const striate_tensor* dx);
/* Connectionist temporal classification: log_probs (T, N, C), each sample's labels one behind the
 * other in `targets`, `target_count` in all; lengths [N]; loss (N). dx, or null, is the gradient
 * with respect to the logits whose log_softmax log_probs is. */
STRIATE_CALL striate_ctc_loss(const striate_tensor* log_probs, const int64_t* targets,
                              int64_t target_count, const int64_t* input_lengths,
                              const int64_t* target_lengths, int64_t blank, int32_t zero_infinity,
                              const striate_tensor* loss, const striate_tensor* dx);

/* --- embedding, dropout ------------------------------------------------------------------------
 */

/* y = rows of table (V, D) by their numbers: y (…, D), indices in C order and its shape without D.
 */
STRIATE_CALL striate_embedding_forward(const striate_tensor* table, const int64_t* indices,
                                       const striate_tensor* y);
/* dtable (V, D) from dy (…, D). Row `padding`, unless it is -1, gets 0; by_frequency 1 divides by
 * how often a row was taken. */
STRIATE_CALL striate_embedding_backward(const striate_tensor* dy, const int64_t* indices,
                                        int64_t padding, int32_t by_frequency,
                                        const striate_tensor* dtable);
/* y[g] = the sum of shares[k] table[indices[k]] over begin[g] <= k < begin[g + 1]: y (bags, D),
 * begin has bags + 1 numbers, the last one the count of indices; shares [count], null for 1. */
STRIATE_CALL striate_embedding_bag_forward(const striate_tensor* table, const int64_t* indices,
                                           const int64_t* begin, const striate_tensor* shares,
                                           const striate_tensor* y);
STRIATE_CALL striate_embedding_bag_backward(const striate_tensor* dy, const int64_t* indices,
                                            const int64_t* begin, const striate_tensor* shares,
                                            const striate_tensor* dtable);

/* y = x / (1 - p), or 0 with probability p, as Philox4x32-10 under `key` decides for an element's
 * index: the gradient is the same call on dy. y may be x. */
STRIATE_CALL striate_dropout(const striate_tensor* x, double p, uint64_t key,
                             const striate_tensor* y);

/* --- recurrent layers --------------------------------------------------------------------------
 */

/* One layer in one direction. G gates of H units, P values passed on (P = H without projection). */
typedef struct striate_rnn {
  const char* cell;                  /* "lstm", "gru", "rnn_tanh" or "rnn_relu" */
  int32_t reverse;                   /* 1: from the last step to the first */
  const striate_tensor *w_ih, *w_hh; /* (G H, I), (G H, P): gates i f g o, or r z n */
  const striate_tensor *b_ih, *b_hh; /* [G H]; both or none */
  const striate_tensor* w_hr;        /* (P, H), or null; lstm only */
  const int64_t* batch_sizes;        /* of packed sequences: the rows of each step, or null */
  int64_t steps;                     /* how many batch_sizes there are */
} striate_rnn;
static inline striate_rnn striate_rnn_of(const char* cell, const striate_tensor* w_ih,
                                         const striate_tensor* w_hh, const striate_tensor* b_ih,
                                         const striate_tensor* b_hh) {
  striate_rnn p;
  p.cell = cell, p.reverse = 0, p.w_ih = w_ih, p.w_hh = w_hh, p.b_ih = b_ih, p.b_hh = b_hh;
  p.w_hr = NULL, p.batch_sizes = NULL, p.steps = 0;
  return p;
}
/* What forward keeps for backward is a tensor (rows, columns): size[0], size[1]. No columns: it
 * keeps nothing. */
STRIATE_CALL striate_rnn_kept_size(const striate_rnn* p, const striate_tensor* x, int64_t size[2]);
/* x (T, N, I); (N, I), a single step of a cell; or packed rows (R, I), longest sequence first. y is
 * like x with P values a row. h0 (N, P) and c0 (N, H, lstm only), null for 0; h_n, c_n the same at
 * the end, null if not wanted; kept null if there will be no backward. */
STRIATE_CALL striate_rnn_forward(const striate_rnn* p, const striate_tensor* x,
                                 const striate_tensor* h0, const striate_tensor* c0,
                                 const striate_tensor* y, const striate_tensor* h_n,
                                 const striate_tensor* c_n, const striate_tensor* kept);
/* Backpropagation through time: the gradients that come, null for 0, and those that are wanted, the
 * others null. */
typedef struct striate_rnn_gradients {
  const striate_tensor *dy, *dh_n, *dc_n;
  const striate_tensor *dx, *dw_ih, *dw_hh, *db_ih, *db_hh, *dw_hr, *dh0, *dc0;
} striate_rnn_gradients;
STRIATE_CALL striate_rnn_backward(const striate_rnn* p, const striate_tensor* x,
                                  const striate_tensor* h0, const striate_tensor* c0,
                                  const striate_tensor* y, const striate_tensor* kept,
                                  const striate_rnn_gradients* gradients);

/* --- optimizers --------------------------------------------------------------------------------
 */

/* The numbers of a step; a rule takes those that its equation names. All begin with
 *   p = keep p;  g = sign grad + weight_decay p
 *   m = first m + first_in g;  v = second v + second_in g^2 */
typedef struct striate_step {
  double sign, weight_decay, keep, rate, rate_grad, first, first_in, second, second_in, root, eps;
} striate_step;
static inline striate_step striate_step_defaults(void) {
  striate_step f;
  f.sign = f.keep = f.root = 1;
  f.weight_decay = f.rate = f.rate_grad = f.first = f.first_in = f.second = f.second_in = f.eps = 0;
  return f;
}
/* One step of a rule, in place on param and `count` states, all of one shape:
 *   "sgd_plain"     p -= rate g                           no state
 *   "sgd_momentum"  p -= rate m                           m
 *   "sgd_nesterov"  p -= rate (g + first m)               m
 *   "adam"          p -= rate m / (root sqrt(v) + eps)    m, v
 * and those of csrc/ops/optimizer/names.inc. Adam at its t-th step: rate = lr / (1 - beta1^t),
 * root = 1 / sqrt(1 - beta2^t), first_in = 1 - beta1, second_in = 1 - beta2. */
STRIATE_CALL striate_optimizer_step(const char* rule, const striate_step* step,
                                    const striate_tensor* param, const striate_tensor* grad,
                                    const striate_tensor* const* states, int32_t count);

#ifdef __cplusplus
}
#endif

#endif /* STRIATE_H */
