// SPDX-License-Identifier: Apache-2.0
// Batch normalisation and local response normalisation of images (N, C, H, W) in channels-last
// memory, seen as a matrix of M = N H W rows and C channels.
//
// Batch norm (Ioffe and Szegedy 2015), per channel:
//   y = (x - mean) * invstd * weight + bias          invstd = 1 / sqrt(var + eps)
// with mean and variance of the batch in training, given ones in inference.
//
// Group norm is the same over each image's own pixels and groups of channels.
//
// Local response norm (Krizhevsky et al. 2012, section 3.3), across channels:
//   y[c] = x[c] / s[c]^beta,   s[c] = k + alpha / size * sum of x[j]^2,
//   j from c - size / 2 to c + (size - 1) / 2, those inside [0, C)
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Norm {
  batch_norm_stats,
  batch_norm_fwd,
  batch_norm_sums,
  batch_norm_bwd,
  lrn_fwd,
  lrn_bwd,
};

// Over a dense matrix [rows, n]; per-column operands [n].
//   batch_norm_stats   out[j] = mean of x[:, j], out2[j] = sum of (x[:, j] - out[j])^2
//   batch_norm_fwd     y = (x - mean) * scale + shift
//   batch_norm_sums    out[j] = sum of dy[:, j], out2[j] = sum of dy[:, j] * (x[:, j] - mean[j])
//   batch_norm_bwd     y = dy * scale + (x - mean) * slope + shift
template <class T>
struct BatchNormArgs {
  const T* x;
  const T* dy;
  ptrdiff_t rows, n;
  const T *mean, *scale, *slope, *shift;
  T *out, *out2;  // per column
  T* y;           // [rows, n]
};

// Over a dense matrix [rows, channels].
//   lrn_fwd   y as above
//   lrn_bwd   y[i] = dy[i] s[i]^-beta - 2 alpha beta / size * x[i] * t[i]
//             t[i] = sum of dy[j] x[j] s[j]^(-beta-1) over the j whose windows hold i
template <class T>
struct LrnArgs {
  const T* x;
  const T* dy;
  ptrdiff_t rows, channels, size;
  T share, beta, k;  // share = alpha / size
  T* scratch;        // lrn_bwd: lrn_scratch() elements
  T* y;
};
constexpr ptrdiff_t kLrnRows = 8;  // rows that lrn_bwd keeps in scratch at a time
inline ptrdiff_t lrn_scratch(ptrdiff_t channels) { return kLrnRows * channels; }

template <class T>
using BatchNormFn = void(const BatchNormArgs<T>&);
template <class T>
using LrnFn = void(const LrnArgs<T>&);

#define BATCH_NORM(name, T, isa, pass) STRIATE_WITH_##isa(BatchNormFn<T> name;)
#define LRN(name, T, isa, pass) STRIATE_WITH_##isa(LrnFn<T> name;)
#include "ops/norm/kernels.inc"
#undef BATCH_NORM
#undef LRN

// --- drivers -------------------------------------------------------------------------------------

// (N, C), (N, C, L) or (N, C, H, W), seen as an image; throws for other ranks.
Operand as_image(const char* op, const char* argument, Operand x);
// Throws unless `groups` divides the channels of x.
void check_groups(const char* op, ptrdiff_t groups, const Operand& x);

// Per-channel vectors [C], dense; null pointers where an operand is left out.
struct Channels {
  const void *weight, *bias;
  void *mean, *invstd;
};

// Throws unless there is more than one value a channel to train by.
void check_batch(const Operand& x);
// y, and the batch's statistics in channels.mean and channels.invstd (NaN where there are no rows).
// running_mean and running_var, unless null, move towards the batch's by `momentum` (the variance
// over M - 1).
struct Running {
  void *mean, *var;
  double momentum;
};
void batch_norm_train(const Operand& x, const Channels& channels, const Running& running,
                      double eps, const Operand& y);
// y by the given mean and invstd.
void batch_norm_infer(const Operand& x, const Channels& channels, const Operand& y);
// dx, and dweight and dbias [C]. `batch`: mean and invstd came from x, so they pass gradients on.
enum class Statistics { batch, given };
void batch_norm_backward(const Operand& dy, const Operand& x, const Channels& channels,
                         Statistics statistics, const Operand& dx, void* dweight, void* dbias);

// Group norm (Wu and He 2018): as batch norm, with mean and variance over the pixels of one image
// and the channels of one group, C / groups neighbours. groups = C is instance norm (Ulyanov et al.
// 2016). channels.mean and channels.invstd, and var unless it is null, are [N, groups].
void group_norm(const Operand& x, ptrdiff_t groups, const Channels& channels, double eps, void* var,
                const Operand& y);
void group_norm_backward(const Operand& dy, const Operand& x, ptrdiff_t groups,
                         const Channels& channels, const Operand& dx, void* dweight, void* dbias);

struct Lrn {
  ptrdiff_t size;
  double alpha, beta, k;
};
void local_response_norm(const Operand& x, const Lrn& lrn, const Operand& y);
void local_response_norm_backward(const Operand& dy, const Operand& x, const Lrn& lrn,
                                  const Operand& dx);
// On a GPU, dense matrices [rows, channels]: y, or dx where there is a dy. scratch: [rows,
// channels], of the gradient.
void lrn_launch(const cuda::Stream& stream, const Lrn& lrn, const Operand& x, const void* dy,
                void* scratch, void* y);

}  // namespace striate
