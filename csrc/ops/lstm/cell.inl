// SPDX-License-Identifier: Apache-2.0
// One step of a recurrent cell for `left` units from j on of row r, over any vector type (cell.h);
// the equations are in lstm.h.
namespace striate {
namespace {

template <class T>
Vec<T> one() {
  return broadcast(T(1));
}
// The slope of the sigmoid where its value is s, and of tanh where it is t.
template <class T>
Vec<T> sigmoid_slope(Vec<T> s) {
  return s * (one<T>() - s);
}
template <class T>
Vec<T> tanh_slope(Vec<T> t) {
  return (one<T>() - t) * (one<T>() + t);
}

template <class T>
void store_both(const CellForward<T>& a, ptrdiff_t r, ptrdiff_t j, Vec<T> h, ptrdiff_t left) {
  store_first(a.out.at(r) + j, h, left);
  if (a.out2.data) store_first(a.out2.at(r) + j, h, left);
}

struct LstmForward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellForward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    T *gates = a.gates.at(r) + j, *state = a.c.at(r) + j;
    const Vec<T> before = load_filled(state, left, T(0));
    const Vec<T> i = sigmoid(load_filled(gates, left, T(0)));
    const Vec<T> f = sigmoid(load_filled(gates + a.gate, left, T(0)));
    const Vec<T> g = tanh(load_filled(gates + 2 * a.gate, left, T(0)));
    const Vec<T> o = sigmoid(load_filled(gates + 3 * a.gate, left, T(0)));
    const Vec<T> c = fma(f, before, i * g);
    store_first(state, c, left);
    store_both(a, r, j, o * tanh(c), left);
    if (!a.c_kept.data) return;
    store_first(gates, i, left);
    store_first(gates + a.gate, f, left);
    store_first(gates + 2 * a.gate, g, left);
    store_first(gates + 3 * a.gate, o, left);
    store_first(a.c_kept.at(r) + j, before, left);
  }
};

// c is made again from what it was made of: cheaper than another row in memory.
struct LstmBackward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellBackward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    const T* gates = a.gates.at(r) + j;
    T *dgates = a.dgates.at(r) + j, *dstate = a.dc.at(r) + j;
    const Vec<T> i = load_filled(gates, left, T(0));
    const Vec<T> f = load_filled(gates + a.gate, left, T(0));
    const Vec<T> g = load_filled(gates + 2 * a.gate, left, T(0));
    const Vec<T> o = load_filled(gates + 3 * a.gate, left, T(0));
    const Vec<T> before = load_filled(gates + 4 * a.gate, left, T(0));
    const Vec<T> t = tanh(fma(f, before, i * g));
    Vec<T> dh = load_filled(a.dh.at(r) + j, left, T(0));
    if (a.dy.data) dh = dh + load_filled(a.dy.at(r) + j, left, T(0));
    const Vec<T> dc = fma(dh * o, tanh_slope(t), load_filled(dstate, left, T(0)));
    store_first(dgates, dc * g * sigmoid_slope(i), left);
    store_first(dgates + a.gate, dc * before * sigmoid_slope(f), left);
    store_first(dgates + 2 * a.gate, dc * i * tanh_slope(g), left);
    store_first(dgates + 3 * a.gate, dh * t * sigmoid_slope(o), left);
    store_first(dstate, dc * f, left);
  }
};

struct GruForward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellForward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    T* gates = a.gates.at(r) + j;
    const Vec<T> reset = sigmoid(load_filled(gates, left, T(0)));
    const Vec<T> z = sigmoid(load_filled(gates + a.gate, left, T(0)));
    const Vec<T> n_h = load_filled(gates + 3 * a.gate, left, T(0));
    const Vec<T> n = tanh(fma(reset, n_h, load_filled(gates + 2 * a.gate, left, T(0))));
    const Vec<T> before = load_filled(a.h.at(r) + j, left, T(0));
    store_first(gates, reset, left);
    store_first(gates + a.gate, z, left);
    store_first(gates + 2 * a.gate, n, left);
    store_both(a, r, j, fma(z, before - n, n), left);
  }
};

struct GruBackward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellBackward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    const T* gates = a.gates.at(r) + j;
    T *dgates = a.dgates.at(r) + j, *passed = a.dh.at(r) + j;
    const Vec<T> reset = load_filled(gates, left, T(0));
    const Vec<T> z = load_filled(gates + a.gate, left, T(0));
    const Vec<T> n = load_filled(gates + 2 * a.gate, left, T(0));
    const Vec<T> n_h = load_filled(gates + 3 * a.gate, left, T(0));
    const Vec<T> before = load_filled(a.h.at(r) + j, left, T(0));
    Vec<T> dh = load_filled(passed, left, T(0));
    if (a.dy.data) dh = dh + load_filled(a.dy.at(r) + j, left, T(0));
    const Vec<T> dn = dh * (one<T>() - z) * tanh_slope(n);
    store_first(dgates, dn * n_h * sigmoid_slope(reset), left);
    store_first(dgates + a.gate, dh * (before - n) * sigmoid_slope(z), left);
    store_first(dgates + 2 * a.gate, dn, left);
    store_first(dgates + 3 * a.gate, dn * reset, left);
    store_first(passed, dh * z, left);
  }
};

struct Tanh {
  template <class T>
  static Vec<T> value(Vec<T> x) {
    return tanh(x);
  }
  template <class T>
  static Vec<T> gradient(Vec<T> y, Vec<T> dy) {
    return dy * tanh_slope(y);
  }
};
struct Relu {
  template <class T>
  static Vec<T> value(Vec<T> x) {
    return max(broadcast(T(0)), x);
  }
  template <class T>
  static Vec<T> gradient(Vec<T> y, Vec<T> dy) {
    return select(y > broadcast(T(0)), dy, broadcast(T(0)));
  }
};

template <class F>
struct RnnForward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellForward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    store_both(a, r, j, F::value(load_filled(a.gates.at(r) + j, left, T(0))), left);
  }
};

template <class F>
struct RnnBackward {
  template <class T>
  static inline __attribute__((always_inline)) void run(const CellBackward<T>& a, ptrdiff_t r,
                                                        ptrdiff_t j, ptrdiff_t left) {
    Vec<T> dh = load_filled(a.dh.at(r) + j, left, T(0));
    if (a.dy.data) dh = dh + load_filled(a.dy.at(r) + j, left, T(0));
    const Vec<T> h = load_filled(a.h.at(r) + j, left, T(0));
    store_first(a.dgates.at(r) + j, F::gradient(h, dh), left);
  }
};

}  // namespace
}  // namespace striate
