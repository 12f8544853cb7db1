// SPDX-License-Identifier: Apache-2.0
// One step of an optimizer on one parameter, in place and in one pass: p, the gradient and the
// state are read once, p and the state written once.
//
// p, grad and the states have one shape and any strides; they must not overlap. The equations are
// in rules.inl; the terms of all of them are
//
//   g = sign * grad + weight_decay * p        decay in the gradient, where weight_decay != 0
//   p = keep * p                              decay apart from it (AdamW)
#pragma once
#include "core/operand.h"
#include "ops/optimizer/factors.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Rule {
#define RULE(name, Struct) name,
#include "ops/optimizer/names.inc"
#undef RULE
};

constexpr int kMostStates = 3;

template <class T>
struct StepRun {
  T* p;
  const T* grad;
  T* state[kMostStates];                                 // those the rule has
  ptrdiff_t p_step, grad_step, state_step[kMostStates];  // in elements; 1 is the fast case
  ptrdiff_t n;
};
template <class T>
using StepFn = void(const StepRun<T>& run, const StepFactors& factors);

#define ROW(name, T, isa, rule, Struct) STRIATE_WITH_##isa(StepFn<T> name;)
#include "ops/optimizer/kernels.inc"
#undef ROW

Rule rule_by_name(const char* name);  // throws std::invalid_argument with the choices
const char* rule_name(Rule rule);
int rule_states(Rule rule);  // how many states it has

// `states` are as many as the rule has. Shapes are checked.
void optimizer_step(Rule rule, const Operand& p, const Operand& grad, const Operand* states,
                    const StepFactors& factors);

// The same on a GPU, of operands that are dense in one memory order.
void optimizer_step_launch(const cuda::Stream& stream, Rule rule, const Operand& p,
                           const Operand& grad, const Operand* states, const StepFactors& factors);

}  // namespace striate
