// SPDX-License-Identifier: Apache-2.0
#include "ops/optimizer/optimizer.h"

#include <cstring>

#include "core/loops.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, rule, Struct) STRIATE_KERNEL(optimizer, name, T, isa, int(Rule::rule))
#include "ops/optimizer/kernels.inc"
#undef ROW
};

constexpr const char* kNames[] = {
#define RULE(name, Struct) #name,
#include "ops/optimizer/names.inc"
#undef RULE
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least

void expect_like(Rule rule, const char* argument, const Operand& p, const Operand& x) {
  bool same = x.rank == p.rank;
  for (int i = 0; same && i < p.rank; ++i) same = x.shape[i] == p.shape[i];
  if (!same) fail(rule_name(rule), argument, "shape " + p.text() + ", the parameter's", x.text());
}

}  // namespace

const char* rule_name(Rule rule) { return kNames[int(rule)]; }

Rule rule_by_name(const char* name) {
  std::string choices;
  int i = 0;
  for (const char* known : kNames) {
    if (name != nullptr && std::strcmp(name, known) == 0) return Rule(i);
    choices += (i++ ? ", " : "") + std::string(known);
  }
  fail("optimizer_step", "rule", "one of " + choices,
       name ? "\"" + std::string(name) + "\"" : "None");
}

int rule_states(Rule rule) {
  switch (rule) {
    case Rule::sgd_plain:
      return 0;
    case Rule::sgd_momentum:
    case Rule::sgd_nesterov:
    case Rule::adagrad:
    case Rule::rmsprop:
      return 1;
    case Rule::adam_amsgrad:
    case Rule::rmsprop_centered_momentum:
      return 3;
    default:
      return 2;
  }
}

void optimizer_step(Rule rule, const Operand& p, const Operand& grad, const Operand* states,
                    const StepFactors& factors) {
  expect_like(rule, "grad", p, grad);
  const int count = rule_states(rule);
  Operand all[kMostStates + 2] = {grad, p, p, p, p};  // a state that is not there runs along
  for (int k = 0; k < count; ++k) {
    expect_like(rule, "states", p, states[k]);
    all[1 + k] = states[k];
  }
  const Loops<kMostStates + 2> loops(all);
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(p.dtype, int(rule)).template as<StepFn<T>>();
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      StepRun<T> run{};
      run.grad = grad.as<const T>() + at[0], run.grad_step = step[0];
      for (int k = 0; k < count; ++k)
        run.state[k] = states[k].as<T>() + at[1 + k], run.state_step[k] = step[1 + k];
      run.p = p.as<T>() + at[kMostStates + 1], run.p_step = step[kMostStates + 1];
      run.n = n;
      kernel(run, factors);
    });
  });
}

}  // namespace striate
