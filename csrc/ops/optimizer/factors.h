// SPDX-License-Identifier: Apache-2.0
// The numbers of an optimizer's step; host and device read this file.
#pragma once

namespace striate {

constexpr int kMostStates = 3;

// What the rules have in common, as numbers. A rule takes those that it names.
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

}  // namespace striate
