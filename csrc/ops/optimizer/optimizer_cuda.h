// SPDX-License-Identifier: Apache-2.0
// What the launch of an optimizer's step passes; host and device read this file.
#pragma once
#include "ops/optimizer/factors.h"

namespace striate {

template <class T>
struct StepCuda {
  T* p;
  const T* grad;
  T* state[kMostStates];  // those the rule has
  long long n;            // elements of each, dense
  StepFactors factors;
};

}  // namespace striate
