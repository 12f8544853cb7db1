// SPDX-License-Identifier: Apache-2.0
// One step of an optimizer on one parameter (optimizer.h), in place and in one pass, by the rules
// of rules.inl.
//
// Bound: memory. With s states a step reads 2 + s streams and writes 1 + s: Adam 28 bytes a float32
// parameter. 16 bytes an access where all arrays are aligned to them.
//
// <rule>_<dtype>_cuda(StepCuda<T>)
//   block 256, grid any, ceil(n / (256 * 16 / item size)) or less; no shared memory
#include "cuda/device/row.cuh"
#include "cuda/device/vec.cuh"
#include "ops/optimizer/optimizer_cuda.h"
//
#include "ops/optimizer/rules.inl"

namespace striate {

// Elements i … i + W - 1.
template <class Rule, bool kDecay, int W, class T>
inline void step_pack(const StepCuda<T>& a, int64 i, const StepConstants<T>& c) {
  constexpr int kStates = Rule::states;
  Run<W, T> p = load_run<W>(a.p + i), state[kStates + 1];
  const Run<W, T> grad = load_run<W>(a.grad + i);
#pragma unroll
  for (int k = 0; k < kStates; ++k) state[k] = load_run<W>(a.state[k] + i);
#pragma unroll
  for (int e = 0; e < W; ++e) {
    Vec<T> s[kStates + 1];
#pragma unroll
    for (int k = 0; k < kStates; ++k) s[k] = {state[k].at[e]};
    p.at[e] = stepped<Rule, kDecay>(Vec<T>{p.at[e]}, Vec<T>{grad.at[e]}, s, c).v;
#pragma unroll
    for (int k = 0; k < kStates; ++k) state[k].at[e] = s[k].v;
  }
  store_run(a.p + i, p);
#pragma unroll
  for (int k = 0; k < kStates; ++k) store_run(a.state[k] + i, state[k]);
}

template <class Rule, bool kDecay, class T>
inline void step_all(const StepCuda<T>& a) {
  constexpr int kPack = Pack<T>::size;
  const StepConstants<T> c(a.factors);
  const int64 first = int64(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64 step = int64(gridDim.x) * blockDim.x;
  bool wide = aligned16(a.p) && aligned16(a.grad);
#pragma unroll
  for (int k = 0; k < Rule::states; ++k) wide = wide && aligned16(a.state[k]);
  const int64 packs = wide ? a.n / kPack : 0;
  for (int64 i = first; i < packs; i += step) step_pack<Rule, kDecay, kPack>(a, i * kPack, c);
  for (int64 i = packs * kPack + first; i < a.n; i += step) step_pack<Rule, kDecay, 1>(a, i, c);
}

template <class Rule, class T>
inline void optimizer_step(const StepCuda<T>& a) {
  if (a.factors.weight_decay != 0)
    step_all<Rule, true>(a);
  else
    step_all<Rule, false>(a);
}

}  // namespace striate

#define KERNEL(name, dtype, T, Struct)                \
  extern "C" __global__ void __launch_bounds__(256)   \
      name##_##dtype##_cuda(striate::StepCuda<T> a) { \
    striate::optimizer_step<striate::Struct>(a);      \
  }
#define RULE(name, Struct) KERNEL(name, f32, float, Struct) KERNEL(name, f64, double, Struct)
#include "ops/optimizer/names.inc"
#undef RULE
