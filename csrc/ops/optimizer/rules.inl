// SPDX-License-Identifier: Apache-2.0
// The rules, over vectors. optimizer.h says what g and the factors are; step.inl is the loop of
// CPUs, optimizer_cuda.cu that of GPUs. What includes this file has a Vec<T>, and StepFactors.
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

}  // namespace
}  // namespace striate
