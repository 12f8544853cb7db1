// SPDX-License-Identifier: Apache-2.0
// The operations over a vector type: simd/vec_<isa>.h, or on the GPU cuda/device/vec.cuh.
namespace striate {
namespace {

struct Add {
  template <class V>
  static V apply(V a, V b) {
    return a + b;
  }
};
struct Sub {
  template <class V>
  static V apply(V a, V b) {
    return a - b;
  }
};
struct Mul {
  template <class V>
  static V apply(V a, V b) {
    return a * b;
  }
};
struct Div {
  template <class V>
  static V apply(V a, V b) {
    return a / b;
  }
};
// max(a, b) gives b where either is NaN, so only a NaN in a is left to keep.
struct Maximum {
  template <class V>
  static V apply(V a, V b) {
    return select(is_nan(a), a, max(a, b));
  }
};
struct Minimum {
  template <class V>
  static V apply(V a, V b) {
    return select(is_nan(a), a, min(a, b));
  }
};

}  // namespace
}  // namespace striate
