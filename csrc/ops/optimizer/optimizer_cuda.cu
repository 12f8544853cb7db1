// SPDX-License-Identifier: Apache-2.0
// One step of an optimizer, in place: the rules of rules.inl, one element after the other.
//
// Bound: memory, 3 + 2 s streams for s states; 16 bytes an access where addresses allow.
//
// <rule>_<dtype>_cuda(StepCuda)     p, grad and states are dense in one memory order
//   block 256, grid ceil(n / (256 * 16 / item size)), at most some 8 blocks a multiprocessor
// No shared memory.
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/optimizer/factors.h"
//
#include "ops/optimizer/rules.inl"

namespace striate {

template <class Rule, class T>
inline T step_one(T p, T grad, Vec<T>* s, bool decays, const StepConstants<T>& c) {
  if (decays) return stepped<Rule, true>(Vec<T>{p}, Vec<T>{grad}, s, c).v;
  return stepped<Rule, false>(Vec<T>{p}, Vec<T>{grad}, s, c).v;
}

template <class Rule, class T>
inline void step_all(const StepCuda<T>& a) {
  constexpr int kStates = Rule::states, kWide = Pack<T>::size;
  const StepConstants<T> c(a.factors);
  const bool decays = a.factors.weight_decay != 0;
  const int64 first = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 stride = int64(gridDim.x) * blockDim.x;
  Vec<T> s[kStates + 1];
  bool aligned = aligned16(a.p) && aligned16(a.grad);
#pragma unroll
  for (int k = 0; k < kStates; ++k) aligned = aligned && aligned16(a.state[k]);
  int64 done = 0;
  if (aligned) {
    for (int64 i = first; i < a.n / kWide; i += stride) {
      Pack<T> p = load16(a.p + i * kWide), states[kStates + 1];
      const Pack<T> grad = load16(a.grad + i * kWide);
#pragma unroll
      for (int k = 0; k < kStates; ++k) states[k] = load16(a.state[k] + i * kWide);
#pragma unroll
      for (int e = 0; e < kWide; ++e) {
#pragma unroll
        for (int k = 0; k < kStates; ++k) s[k].v = states[k].at[e];
        p.at[e] = step_one<Rule>(p.at[e], grad.at[e], s, decays, c);
#pragma unroll
        for (int k = 0; k < kStates; ++k) states[k].at[e] = s[k].v;
      }
      store16(a.p + i * kWide, p);
#pragma unroll
      for (int k = 0; k < kStates; ++k) store16(a.state[k] + i * kWide, states[k]);
    }
    done = a.n / kWide * kWide;
  }
  for (int64 i = done + first; i < a.n; i += stride) {
#pragma unroll
    for (int k = 0; k < kStates; ++k) s[k].v = a.state[k][i];
    a.p[i] = step_one<Rule>(a.p[i], a.grad[i], s, decays, c);
#pragma unroll
    for (int k = 0; k < kStates; ++k) a.state[k][i] = s[k].v;
  }
}

}  // namespace striate

#define KERNEL(name, T, Struct)                                                              \
  extern "C" __global__ void __launch_bounds__(256) name##_cuda(striate::StepCuda<T> args) { \
    striate::step_all<striate::Struct>(args);                                                \
  }
#define RULE(rule, Struct) KERNEL(rule##_f32, float, Struct) KERNEL(rule##_f64, double, Struct)
#include "ops/optimizer/names.inc"
#undef RULE
