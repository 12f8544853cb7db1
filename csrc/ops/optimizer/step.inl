// SPDX-License-Identifier: Apache-2.0
// The loop that applies the rules.
//
// Bound: memory. With s states a step reads 2 + s streams and writes 1 + s: SGD with momentum moves
// 20 bytes a float32 parameter, Adam 28, Adam with AMSGrad 36, and that over the bandwidth is the
// floor. Adam's loop has 18 vector instructions a vector; its square root and quotient, 16 lanes
// each, take some 35 cycles that overlap with the next vectors' streams: 13 bytes a cycle, several
// times what memory gives a core. So one vector at a time is enough, and a step that fits no cache
// should take no longer than a copy of as many bytes. Up to five streams run at once, and each is
// fetched ahead: 16 M parameters of Adam from 19.3 to 16.8 ms (28 GB/s), of SGD with momentum from
// 13.3 to 12.2, 1 M from 0.67 to 0.64 and 0.52 to 0.48 (Emerald Rapids). All that is written has
// been read, so nothing would be gained past the caches.
#include "ops/optimizer/optimizer.h"
#include "simd/write.h"
//
#include "ops/optimizer/rules.inl"

namespace striate {
namespace {

// The first n elements of unit-stride arrays.
template <class Rule, bool kDecay, class T>
void step_dense(const StepRun<T>& run, ptrdiff_t n, const StepConstants<T>& c) {
  constexpr int lanes = Vec<T>::lanes;
  Vec<T> s[Rule::states + 1];
  ptrdiff_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    fetch(run.p + i), fetch(run.grad + i);
#pragma GCC unroll 3
    for (int k = 0; k < Rule::states; ++k) fetch(run.state[k] + i);
#pragma GCC unroll 3
    for (int k = 0; k < Rule::states; ++k) s[k] = load(run.state[k] + i);
    store(run.p + i, stepped<Rule, kDecay>(load(run.p + i), load(run.grad + i), s, c));
#pragma GCC unroll 3
    for (int k = 0; k < Rule::states; ++k) store(run.state[k] + i, s[k]);
  }
  if (i == n) return;
  const Mask<T> tail = first<T>(int(n - i));
  for (int k = 0; k < Rule::states; ++k) s[k] = load(run.state[k] + i, tail);
  store(run.p + i, stepped<Rule, kDecay>(load(run.p + i, tail), load(run.grad + i, tail), s, c),
        tail);
  for (int k = 0; k < Rule::states; ++k) store(run.state[k] + i, s[k], tail);
}

template <class Rule, bool kDecay, class T>
void step_strided(const StepRun<T>& run, const StepConstants<T>& c) {
  StepRun<T> one = run;
  for (ptrdiff_t i = 0; i < run.n; ++i) {
    step_dense<Rule, kDecay>(one, 1, c);
    one.p += run.p_step, one.grad += run.grad_step;
    for (int k = 0; k < Rule::states; ++k) one.state[k] += run.state_step[k];
  }
}

template <class Rule, class T>
void optimizer_loop(const StepRun<T>& run, const StepFactors& factors) {
  const StepConstants<T> c(factors);
  bool dense = run.p_step == 1 && run.grad_step == 1;
  for (int k = 0; k < Rule::states; ++k) dense = dense && run.state_step[k] == 1;
  if (factors.weight_decay != 0) {
    if (dense) return step_dense<Rule, true>(run, run.n, c);
    return step_strided<Rule, true>(run, c);
  }
  if (dense) return step_dense<Rule, false>(run, run.n, c);
  step_strided<Rule, false>(run, c);
}

}  // namespace
}  // namespace striate

// What a row is, for the ISA files.
#define DEFINE_STEP(name, T, Struct) \
  void name(const StepRun<T>& run, const StepFactors& f) { optimizer_loop<Struct>(run, f); }
