// SPDX-License-Identifier: Apache-2.0
// Layer norm (Ba, Kiros and Hinton 2016) and root mean square norm (Zhang and Sennrich 2019): each
// row of a matrix [M, n] by itself, weight and bias [n].
//
//   layer norm   y = (x - mean) * invstd * weight + bias    invstd = 1 / sqrt(var + eps)
//   RMS norm     y = x * invstd * weight                    invstd = 1 / sqrt(mean of x^2 + eps)
//
// with the variance over n, not n - 1. mean and invstd of a row without elements are NaN.
//
// With x^ = (x - mean) * invstd (RMS: x * invstd) and g = dy * weight the gradients are
//   dx      = invstd * (g - mean of g - x^ * mean of g x^)  (RMS: without the mean of g)
//   dweight = sum over rows of dy x^,  dbias = sum over rows of dy
#pragma once
#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class LayerNorm { layer_norm_fwd, layer_norm_bwd, rms_norm_fwd, rms_norm_bwd };

// Dense rows. weight and bias may be null (1 and 0); mean is not touched by RMS norm.
//   fwd   y, and mean and invstd [rows]
//   bwd   y is dx; dweight and dbias, null or [n], are added to
template <class T>
struct LayerNormArgs {
  const T *x, *dy, *weight, *bias;
  ptrdiff_t rows, n;
  T eps;
  T *mean, *invstd;
  T* y;
  T *dweight, *dbias;
};
template <class T>
using LayerNormFn = void(const LayerNormArgs<T>&);

#define ROW(name, T, isa, pass) STRIATE_WITH_##isa(LayerNormFn<T> name;)
#include "ops/layer_norm/kernels.inc"
#undef ROW

// --- drivers -------------------------------------------------------------------------------------

// x and y are dense matrices [rows, n] of one dtype, whatever the shapes; vectors are dense.
struct LayerNormProblem {
  Dtype dtype;
  ptrdiff_t rows, n;
  const void *x, *weight, *bias;
  void *mean, *invstd;  // [rows]; mean null: RMS norm
};
// Throws unless x has that many axes to normalise over, the last ones.
void check_axes(const char* op, const Operand& x, int axes);
// The sizes of x's rows over its last `axes` axes; no pointers yet.
LayerNormProblem rows_of_axes(const Operand& x, int axes);

void layer_norm(const LayerNormProblem& problem, double eps, void* y);
// The same on a GPU.
void layer_norm_launch(const cuda::Stream& stream, const LayerNormProblem& problem, double eps,
                       void* y);
// dweight and dbias may be null.
void layer_norm_backward(const LayerNormProblem& problem, const void* dy, void* dx, void* dweight,
                         void* dbias);
// The same on a GPU, but that dweight and dbias are [layer_norm_parts(rows), n], yet to be added
// up.
ptrdiff_t layer_norm_parts(ptrdiff_t rows);
void layer_norm_backward_launch(const cuda::Stream& stream, const LayerNormProblem& problem,
                                const void* dy, void* dx, void* dweight, void* dbias);

}  // namespace striate
