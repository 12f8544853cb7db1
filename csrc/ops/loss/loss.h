// SPDX-License-Identifier: Apache-2.0
// Losses, with their gradients made in the same pass: what is read once need not be read again.
//
// Cross entropy of rows of C logits x against a distribution t over the classes, p = softmax(x):
//
//   loss    = -sum over c of w[c] t[c] log p[c]
//   dx[c]   = scale (A p[c] - a[c])                  a[c] = w[c] t[c],  A = sum over c of a[c]
//   t[c]    = (1 - smoothing) target[c] + smoothing / C
//
// with target given, or 1 at a label and 0 elsewhere. Pointwise losses of n elements, f and its
// slope f' as in pointwise.inl:
//
//   loss[i] = factor f(x[i], target[i])          their sum is the kernel's result
//   dx[i]   = scale f'(x[i], target[i])
#pragma once
#include <optional>

#include "core/indices.h"

namespace striate {

namespace cuda {
struct Stream;
}

template <class T>
struct CrossEntropyRows {
  const T* x;  // [rows, classes], classes at unit stride
  ptrdiff_t x_row, rows, classes;
  const int64_t* labels;  // [rows], each a class or `ignored`
  const T* target;        // [rows, classes], where there are no labels
  ptrdiff_t target_row;
  const T* weight;  // [classes], or null for 1
  T weight_sum;
  int64_t ignored;
  T smoothing, scale;
  T* loss;  // [rows]
  T* dx;    // [rows, classes], or null
  ptrdiff_t dx_row;
};
template <class T>
using CrossEntropyFn = void(const CrossEntropyRows<T>&);

template <class T>
struct PointwiseRun {
  const T *x, *target;  // [n], unit stride
  ptrdiff_t n;
  T parameter, factor, scale;
  T *loss, *dx;  // [n], or null
};
template <class T>
using PointwiseFn = T(const PointwiseRun<T>&);

enum class Loss {
  cross_entropy_labels,
  cross_entropy_probabilities,
  squared_error,
  absolute_error,
  huber,
  binary_logits
};

#define ROW(name, T, isa, what, Kind) STRIATE_WITH_##isa(Kind##Fn<T> name;)
#include "ops/loss/kernels.inc"
#undef ROW

enum class LossReduction { none, mean, sum };

LossReduction reduction_by_name(const char* op, const char* name);  // throws std::invalid_argument

struct CrossEntropy {
  Operand x;                      // (C,), (N, C) or (N, C, d1, …)
  std::optional<Indices> labels;  // x's shape without the class axis; or:
  std::optional<Operand> target;  // the shape of x
  std::optional<Operand> weight;  // (C,), unit stride
  int64_t ignored = -100;
  double smoothing = 0;
  LossReduction reduction = LossReduction::mean;
};
// The shape of the loss, whose rank is returned, after all but the labels' values is checked.
int cross_entropy_shape(const CrossEntropy& problem, ptrdiff_t* shape);

// `loss` is in C order: one element, or x's shape without the class axis. dx is like x, or has data
// null. "mean" divides by the sum of the weights of the labels not ignored, or by the number of
// rows of probabilities. Throws std::out_of_range for a label that is no class; labels are copied
// first, since another thread may write to the caller's.
void cross_entropy(const CrossEntropy& problem, const Operand& loss, const Operand& dx);
// Refuses the label that stands in row `row`.
[[noreturn]] void refuse_label(const CrossEntropy& problem, ptrdiff_t row, int64_t label);

// On a GPU, x, target and dx dense with the classes innermost, [rows, classes]: the losses of all
// rows, those of a mean to be added up. Labels have been checked; `total` is what a mean divides
// by.
void cross_entropy_launch(const cuda::Stream& stream, const CrossEntropy& problem, double total,
                          void* losses, void* dx);

// The loss of x against target, element by element in `loss`, or its sum or mean in one element
// there, times `factor`; and its gradient in dx, unless its data is null. x, target, dx and, where
// there is no reduction, loss are dense and of equal strides.
struct Pointwise {
  Loss what;  // any but cross entropy
  Operand x, target;
  double parameter, factor;
  LossReduction reduction;
};
void pointwise_loss(const Pointwise& problem, const Operand& loss, const Operand& dx);

// On a GPU: `loss` is like x, or [pointwise_parts(n)], yet to be added up.
ptrdiff_t pointwise_parts(ptrdiff_t n);
void pointwise_loss_launch(const cuda::Stream& stream, const Pointwise& problem,
                           const Operand& loss, const Operand& dx);

}  // namespace striate
