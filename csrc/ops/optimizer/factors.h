// SPDX-License-Identifier: Apache-2.0
// What the rules of an optimizer's step have in common, as numbers. Host and device read this file.
#pragma once

namespace striate {

// A rule takes those that it names.
struct StepFactors {
  double sign = 1;                   // -1 to climb
  double weight_decay = 0;           // of the gradient
  double keep = 1;                   // of p
  double rate = 0;                   // the step's length, with the correction of a mean's bias
  double rate_grad = 0;              // the same for the gradient's own part (NAdam)
  double first = 0, first_in = 0;    // m = first * m + first_in * g
  double second = 0, second_in = 0;  // v = second * v + second_in * g^2
  double root = 1;                   // what sqrt(v) is multiplied by, against its bias
  double eps = 0;
};

// What the launch of a kernel of optimizer_cuda.cu passes.
template <class T>
struct StepCuda {
  T* p;
  const T* grad;
  T* state[3];  // those the rule has
  long long n;
  StepFactors factors;
};

}  // namespace striate
