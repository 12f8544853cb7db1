// SPDX-License-Identifier: Apache-2.0
// What launches of the losses' kernels pass; host and device read this file. The equations are in
// loss.h.
#pragma once

namespace striate {

// The fields of CrossEntropyRows: labels, or a target.
template <class T>
struct CrossEntropyCuda {
  const T* x;  // [rows, classes], rows x_row apart
  long long x_row, rows, classes;
  const long long* labels;  // [rows], each a class or `ignored`
  const T* target;          // [rows, classes], rows target_row apart, where labels is null
  long long target_row;
  const T* weight;  // [classes], or null for 1
  long long ignored;
  T smoothing, scale;
  T factor;  // of the losses, as scale is the gradients'
  T* loss;   // [rows]
  T* dx;     // [rows, classes], rows dx_row apart, or null; not x
  long long dx_row;
};

template <class T>
struct PointwiseCuda {
  const T *x, *target;  // [n]
  long long n, part;    // elements; of a part, a multiple of 16
  T parameter, factor, scale;
  T *loss, *dx;  // [n], or null
  T* sums;       // [parts]: of the losses times factor, or null
};

}  // namespace striate
