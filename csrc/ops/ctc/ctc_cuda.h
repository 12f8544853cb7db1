// SPDX-License-Identifier: Apache-2.0
// What the launch of a kernel of ctc_cuda.cu passes; host and device read this file. The equations
// are in ctc.h.
#pragma once

namespace striate {

template <class T>
struct CtcCuda {
  const T* log_probs;  // [steps, samples, classes]
  long long steps, samples, classes, blank;
  const long long* length;  // [samples], of the input: at most `steps`
  const long long* start;   // [samples + 1]: sample n has labels start[n] to start[n + 1] - 1
  const long long* label;   // all samples' labels
  // The place of the next label of the same class in the sample, -1 behind the last one; and
  // whether there is none of it before.
  const long long *next, *first;
  int zero_infinity;
  // Working space of every sample: alpha [steps, most], and two rows of q and
  // one of gamma [3, most], most = 2 * the longest target + 1.
  T *alpha, *rows;
  long long most;
  T *loss, *gradient;  // [samples]; like log_probs, or null
};

}  // namespace striate
