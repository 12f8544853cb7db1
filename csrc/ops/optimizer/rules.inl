// SPDX-License-Identifier: Apache-2.0
// The rules, and the loop that applies them. optimizer.h says what g and the factors are.
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

namespace striate {
namespace {

template <class T>
struct StepConstants {
  Vec<T> sign, weight_decay, keep, minus_rate, minus_rate_grad;
  Vec<T> first, first_in, second, second_in, root, eps;

  explicit StepConstants(const StepFactors& f)
      : sign(broadcast(T(f.sign))),
        weight_decay(broadcast(T(f.weight_decay))),
        keep(broadcast(T(f.keep))),
        minus_rate(broadcast(T(-f.rate))),
        minus_rate_grad(broadcast(T(-f.rate_grad))),
        first(broadcast(T(f.first))),
        first_in(broadcast(T(f.first_in))),
        second(broadcast(T(f.second))),
        second_in(broadcast(T(f.second_in))),
        root(broadcast(T(f.root))),
        eps(broadcast(T(f.eps))) {}

  void add_first(Vec<T>& m, Vec<T> g) const { m = fma(first, m, first_in * g); }
  void add_second(Vec<T>& v, Vec<T> g) const { v = fma(second, v, second_in * (g * g)); }
  Vec<T> divisor(Vec<T> v) const { return fma(sqrt(v), root, eps); }
};

// Each rule gives the new p and changes its states s.

// p - rate g
struct SgdPlain {
  static constexpr int states = 0;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>*, const StepConstants<T>& c) {
    return fma(c.minus_rate, g, p);
  }
};

// p - rate m
struct SgdMomentum {
  static constexpr int states = 1;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    return fma(c.minus_rate, s[0], p);
  }
};

// p - rate (g + first m)
struct SgdNesterov {
  static constexpr int states = 1;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    return fma(c.minus_rate, fma(c.first, s[0], g), p);
  }
};

// p - rate m / (root sqrt(v) + eps). root 0 and eps 1 leave the quotient out (RAdam's first steps).
struct Adam {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    c.add_second(s[1], g);
    return fma(c.minus_rate, s[0] / c.divisor(s[1]), p);
  }
};

// The same with the largest v so far.
struct AdamAmsgrad {
  static constexpr int states = 3;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    c.add_second(s[1], g);
    s[2] = max(s[2], s[1]);
    return fma(c.minus_rate, s[0] / c.divisor(s[2]), p);
  }
};

// p - (rate_grad g + rate m) / (root sqrt(v) + eps)
struct Nadam {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    c.add_second(s[1], g);
    return p + fma(c.minus_rate_grad, g, c.minus_rate * s[0]) / c.divisor(s[1]);
  }
};

// u = max(second u, |g| + eps); p - rate m / u
struct Adamax {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_first(s[0], g);
    s[1] = max(c.second * s[1], abs(g) + c.eps);
    return fma(c.minus_rate, s[0] / s[1], p);
  }
};

// p - rate g / (root sqrt(v) + eps), v the sum or the mean of g^2: Adagrad's and RMSprop's.
struct Adagrad {
  static constexpr int states = 1;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_second(s[0], g);
    return fma(c.minus_rate, g / c.divisor(s[0]), p);
  }
};
using Rmsprop = Adagrad;

// d = g sqrt(a + eps) / sqrt(v + eps); a is to d what v is to g; p - rate d. States v, a.
struct Adadelta {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_second(s[0], g);
    Vec<T> d = sqrt(s[1] + c.eps) / sqrt(s[0] + c.eps) * g;
    c.add_second(s[1], d);
    return fma(c.minus_rate, d, p);
  }
};

// b = first b + g / (sqrt(v) + eps); p - rate b. States v, b.
struct RmspropMomentum {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    c.add_second(s[0], g);
    s[1] = fma(c.first, s[1], g / c.divisor(s[0]));
    return fma(c.minus_rate, s[1], p);
  }
};

// a = second a + second_in g; sqrt(v - a^2) in the place of sqrt(v), 0 where rounding leaves less:
// states v, a.
struct RmspropCentered {
  static constexpr int states = 2;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    return fma(c.minus_rate, direction(g, s[0], s[1], c), p);
  }
  template <class T>
  static Vec<T> direction(Vec<T> g, Vec<T>& v, Vec<T>& a, const StepConstants<T>& c) {
    c.add_second(v, g);
    a = fma(c.second, a, c.second_in * g);
    return g / c.divisor(max(broadcast(T(0)), fma(-a, a, v)));
  }
};

// Both: states v, a, b.
struct RmspropCenteredMomentum {
  static constexpr int states = 3;
  template <class T>
  static Vec<T> step(Vec<T> p, Vec<T> g, Vec<T>* s, const StepConstants<T>& c) {
    s[2] = fma(c.first, s[2], RmspropCentered::direction(g, s[0], s[1], c));
    return fma(c.minus_rate, s[2], p);
  }
};

// Without decay p stays out of g, so that an infinite p doesn't become NaN.
template <class Rule, bool kDecay, class T>
inline __attribute__((always_inline)) Vec<T> stepped(Vec<T> p, Vec<T> grad, Vec<T>* s,
                                                     const StepConstants<T>& c) {
  Vec<T> g = c.sign * grad;
  if (kDecay) g = fma(c.weight_decay, p, g);
  return Rule::step(c.keep * p, g, s, c);
}

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
