// SPDX-License-Identifier: Apache-2.0
// The matrices of winograd.h, applied to vectors: along one axis of a tile.
namespace striate {
namespace {

// B^T (input), G (spread, from 1 to 4 values of filters or dy) and A^T (gather, to as many of y or
// dw) for a points. With c the points but infinity, G[i][j] = c_i^j / N_i with N_i the product of
// c_i - c_k over the others, A^T[j][i] = c_i^j, rows of B^T are the coefficients of the product of
// x - c_k over the others; infinity has the highest power alone.
template <int A>
struct Points;

// The index, of A points, of the i-th of the so many that are used: infinity is the last of both.
template <int A>
constexpr int point(int i, int used) {
  return i == used - 1 ? A - 1 : i;
}

// B^T = -1  0  1  0    G = -1   0   0     A^T = 1 1  1 0
//        0  1  1  0        1/2 1/2 1/2          0 1 -1 1
//        0 -1  1  0        1/2 -1/2 1/2
//        0 -1  0  1         0   0   1
template <>
struct Points<4> {
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[4], V (&v)[4]) {
    v[0] = d[2] - d[0];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void spread(const V (&g)[2], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5));
    u[0] = broadcast(T(0)) - g[0];
    u[1] = (g[0] + g[1]) * half;
    u[2] = (g[0] - g[1]) * half;
    u[3] = g[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void spread(const V (&g)[3], V (&u)[4]) {
    using T = typename V::Scalar;
    const V half = broadcast(T(0.5)), ends = (g[0] + g[2]) * half, middle = g[1] * half;
    u[0] = broadcast(T(0)) - g[0];
    u[1] = ends + middle;
    u[2] = ends - middle;
    u[3] = g[2];
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[4], V (&y)[2]) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) + m[3];
  }
  template <class V>
  static inline __attribute__((always_inline)) void gather(const V (&m)[4], V (&y)[3]) {
    const V a = m[1] + m[2];
    y[0] = m[0] + a;
    y[1] = m[1] - m[2];
    y[2] = a + m[3];
  }
};

// B^T = 1 -3/2  -2   3/2  1  0   G =   1      0     0     A^T = 1 1  1  1    1  0
//       0  -1   1/2  5/2  1  0        1/3    1/3   1/3          0 1 -1 1/2  -2  0
//       0   1  -5/2  1/2  1  0       -1/3    1/3  -1/3          0 1  1 1/4   4  0
//       0  -2   -1    2   1  0      -16/15  -8/15 -4/15         0 1 -1 1/8  -8  1
//       0  1/2  -1  -1/2  1  0       1/15   -2/15  4/15
//       0   1  -3/2  -2  3/2 1         0      0     1
template <>
struct Points<6> {
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[6], V (&v)[6]) {
    using T = typename V::Scalar;
    const V e = d[4] - d[2], f = d[3] - d[1], more = broadcast(T(1.5));
    v[0] = fma(more, f, (d[0] - d[2]) + e);
    v[1] = fma(more, d[3] + d[2], e + f);
    v[2] = fma(more, d[3] - d[2], e - f);
    v[3] = fma(broadcast(T(2)), f, e);
    v[4] = fma(broadcast(T(-0.5)), f, e);
    v[5] = fma(more, e, (d[5] - d[3]) - f);
  }
  // Without the last finite points: products over fewer others, times what N_i has besides.
  //
  //   1  -2  -1  2  0      1   0  -1   0      1 -1 0      1 0
  //   0 -3/2 3/2 3  0      0  3/2 3/2  0      0  3 0      0 1
  //   0  1/2 -3/2 1 0      0  3/2 -3/2 0      0 -1 1
  //   0 -5/2  0 5/2 0      0  -1   0   1
  //   0  1/2 -1 -1/2 1
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[5], V (&v)[5]) {
    using T = typename V::Scalar;
    const V f = d[3] - d[1], half = broadcast(T(0.5));
    v[0] = fma(broadcast(T(2)), f, d[0] - d[2]);
    v[1] = broadcast(T(3)) * fma(half, d[2] - d[1], d[3]);
    v[2] = fma(broadcast(T(-1.5)), d[2], fma(half, d[1], d[3]));
    v[3] = broadcast(T(2.5)) * f;
    v[4] = fma(broadcast(T(-0.5)), f, d[4] - d[2]);
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[4], V (&v)[4]) {
    using T = typename V::Scalar;
    const V more = broadcast(T(1.5));
    v[0] = d[0] - d[2];
    v[1] = more * (d[1] + d[2]);
    v[2] = more * (d[1] - d[2]);
    v[3] = d[3] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[3], V (&v)[3]) {
    using T = typename V::Scalar;
    v[0] = d[0] - d[1];
    v[1] = broadcast(T(3)) * d[1];
    v[2] = d[2] - d[1];
  }
  template <class V>
  static inline __attribute__((always_inline)) void input(const V (&d)[2], V (&v)[2]) {
    v[0] = d[0], v[1] = d[1];
  }
  template <class V, int N>
  static inline __attribute__((always_inline)) void spread(const V (&g)[N], V (&u)[6]) {
    using T = typename V::Scalar;
    const V third = broadcast(T(1.0 / 3));
    V even = g[0], odd = broadcast(T(0)), half = g[0], two = g[N - 1];  // Horner's rule, 1/2 and -2
    if constexpr (N > 1) odd = g[1];
    if constexpr (N > 2) even = even + g[2];
    if constexpr (N > 3) odd = odd + g[3];
    even = even * third, odd = odd * third;
#pragma GCC unroll 4
    for (int j = 1; j < N; ++j) half = fma(broadcast(T(2)), half, g[j]);
#pragma GCC unroll 4
    for (int j = N - 2; j >= 0; --j) two = fma(broadcast(T(-2)), two, g[j]);
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = odd - even;
    u[3] = broadcast(T(-16.0 / 15 / (1 << (N - 1)))) * half;
    u[4] = broadcast(T(1.0 / 15)) * two;
    u[5] = g[N - 1];
  }
  template <class V, int P, int N>
  static inline __attribute__((always_inline)) void gather(const V (&m)[P], V (&y)[N]) {
    using T = typename V::Scalar;
    V a = broadcast(T(0)), b = a;  // of 1 and -1, even powers and odd ones
    if constexpr (P > 3)
      a = m[1] + m[2], b = m[1] - m[2];
    else if constexpr (P > 2)
      a = b = m[1];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      V sum = j % 2 ? b : a;
      if (j == N - 1) sum = sum + m[P - 1];
      if (j == 0) sum = sum + m[0];
      if constexpr (P > 5) sum = fma(broadcast(T(j % 2 ? -(1 << j) : 1 << j)), m[4], sum);
      if constexpr (P > 4) sum = fma(broadcast(T(1.0 / (1 << j))), m[3], sum);
      y[j] = sum;
    }
  }
};

// B^T d, or G d where there are fewer values than points, for the points used.
template <int A, bool Spread, int Size, int Used, class V>
inline __attribute__((always_inline)) void transform(const V (&d)[Size], V (&v)[Used]) {
  if constexpr (Spread) {
    V all[A];
    Points<A>::spread(d, all);
#pragma GCC unroll 6
    for (int i = 0; i < Used; ++i) v[i] = all[point<A>(i, Used)];
  } else {
    Points<A>::input(d, v);
  }
}

}  // namespace
}  // namespace striate
