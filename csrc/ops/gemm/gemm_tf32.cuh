// SPDX-License-Identifier: Apache-2.0
// Products of float32 on tensor cores (gemm_mma.cuh), which read 11 significant bits of a float.
//
// tf32     operands rounded to 11 bits: relative error 2^-11 a product
// 3xtf32   x = big + small, of 11 bits each, and of the four products the three that count:
//          a b = small_a big_b + big_a small_b + big_a big_b, the smallest first. Tensor cores cut
//          sums off, always towards zero, and that adds up with k; so they sum over the 16 k of a
//          stage only, and stages are added on CUDA cores, which round. (Ootomo and Yokota,
//          Recovering single precision accuracy from tensor cores, 2022.)
//
// An infinity times a small part of 0, or of the other sign, would be NaN where float32 has an
// infinity. That can't be seen before it is too late, and to look at every operand costs as much as
// a product; so a tile with a sum that is not finite is made again with care.
#pragma once
#include "ops/gemm/gemm_mma.cuh"

namespace striate {

// a (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4), and b (t, g) (t + 4, g) of a tile of floats, which
// has kWide elements across k.
template <bool kAlongK, int kWide>
inline float element(Shared<float> tile, int x, int k) {
  if constexpr (kAlongK)
    return tile[swizzled<float, 16>(x, k)];
  else
    return tile[swizzled<float, kWide>(k, x)];
}
template <bool kAlongK, int kWide, int N>
inline void load_fragment(Shared<float> tile, int x, int k, float (&to)[N]) {
  const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int i = 0; i < N; ++i)
    to[i] = element<kAlongK, kWide>(tile, x + g + (N == 4 ? i % 2 * 8 : 0),
                                    k + t + (N == 4 ? i / 2 : i) * 4);
}

// What policies of floats have in common, from their fragments.
template <class FragmentA, class FragmentB>
struct FloatPolicy {
  using Element = float;
  using A = FragmentA;
  using B = FragmentB;
  static constexpr int kStep = 8;

  template <bool kAlongK>
  static A load_a(Shared<float> tile, int m, int k) {
    return A::template load<kAlongK, 128>(tile, m, k);
  }
  template <bool kAlongK, int kWide>
  static void load_b(Shared<float> tile, int n, int k, B& first, B& second) {
    first = B::template load<kAlongK, kWide>(tile, n, k);
    second = B::template load<kAlongK, kWide>(tile, n + 8, k);
  }
};

template <int N>
struct Tf32Fragment {
  uint32 r[N];
  template <bool kAlongK, int kWide>
  static Tf32Fragment load(Shared<float> tile, int x, int k) {
    Tf32Fragment f;
    float value[N];
    load_fragment<kAlongK, kWide>(tile, x, k, value);
#pragma unroll
    for (int i = 0; i < N; ++i) f.r[i] = to_tf32(value[i]);
    return f;
  }
};

struct Tf32 : FloatPolicy<Tf32Fragment<4>, Tf32Fragment<2>> {
  static constexpr bool kSumsByStage = false;
  static void multiply(float (&sum)[4], const A& a, const B& b) { mma_tf32(sum, a.r, b.r); }
};

template <bool kCareful, int N>
struct Tf32x3Fragment {
  uint32 big[N], small[N];
  // big is cut off, not rounded: the largest floats would become infinite.
  template <bool kAlongK, int kWide>
  static Tf32x3Fragment load(Shared<float> tile, int x, int k) {
    Tf32x3Fragment f;
    float value[N];
    load_fragment<kAlongK, kWide>(tile, x, k, value);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      f.big[i] = __float_as_uint(value[i]) & 0xffffe000u;
      f.small[i] = to_tf32(value[i] - __uint_as_float(f.big[i]));
      if (kCareful && infinite(value[i])) f.small[i] = 0;
    }
    return f;
  }
  // What the other operand's small part is multiplied by.
  void beside_small(uint32 (&to)[N]) const {
#pragma unroll
    for (int i = 0; i < N; ++i) to[i] = kCareful && infinite(__uint_as_float(big[i])) ? 0 : big[i];
  }
  static bool infinite(float x) { return fabsf(x) > 3.402823466e38f; }
};

template <bool kCareful>
struct Tf32x3 : FloatPolicy<Tf32x3Fragment<kCareful, 4>, Tf32x3Fragment<kCareful, 2>> {
  using A = Tf32x3Fragment<kCareful, 4>;
  using B = Tf32x3Fragment<kCareful, 2>;
  using Careful = Tf32x3<true>;
  static constexpr bool kSumsByStage = true;
  static void multiply(float (&sum)[4], const A& a, const B& b) {
    uint32 big_a[4], big_b[2];
    a.beside_small(big_a), b.beside_small(big_b);
    mma_tf32(sum, a.small, big_b);
    mma_tf32(sum, big_a, b.small);
    mma_tf32(sum, a.big, b.big);
  }
};

template <int kWide>
using Tf32Loop = MmaLoop<Tf32, kWide>;
using Tf32x3Loop = MmaLoop<Tf32x3<false>, 128>;

}  // namespace striate
