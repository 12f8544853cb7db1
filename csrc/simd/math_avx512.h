// SPDX-License-Identifier: Apache-2.0
// What simd/math.h has of its own for AVX-512: tables of 16 that lie in a register (vpermps), the
// exponent by vscalefps, and vrcp14ps with a step of Newton in the place of a quotient, which would
// hold its port for 16 cycles. The bounds are in math.h.
//
// Instructions for 16 floats, of which two a cycle can run: exp 12, sigmoid 19, tanh 20 (8 of them
// on the port for permutes). On an Emerald Rapids, 4096 floats, before and after, GB/s in and out:
// exp 42 and 62, sigmoid 26 and 29, tanh 21 and 31. A quotient of polynomials of degree 9 and 8
// gave tanh 35, but 5 to 6 ULP near 1.
#pragma once

namespace striate {
namespace {

// 1 / x within 1.5 ULP, 0 at inf and where the result would be a denormal. NaN passes.
inline Vec<float> reciprocal(Vec<float> x) {
  x = min(broadcast(3.4e38f), x);
  const Vec<float> r = {_mm512_rcp14_ps(x.v)};
  return fma(fma(-x, r, broadcast(1.0f)), r, r);
}

// a / b where 1 / b is a normal number, so that b is neither 0 nor infinite.
inline Vec<float> quotient(Vec<float> a, Vec<float> b) {
  const Vec<float> r = {_mm512_rcp14_ps(b.v)};
  return a * fma(fma(-b, r, broadcast(1.0f)), r, r);
}

inline Vec<float> looked_up(const float (&table)[16], __m512i index) {
  return {_mm512_permutexvar_ps(index, _mm512_load_ps(table))};
}

// x = m ln 2 + r with m a multiple of 1/16 and |r| <= ln 2 / 32;
//   e^x = 2^floor(m) 2^(j/16) (1 + r + r^2 (c2 + c3 r)),   j = 16 m modulo 16, error 1.6e-9
// Added to 1.5 2^19, x / ln 2 is rounded to sixteenths, and its low bits are j. Where x is so large
// that m is not near x / ln 2, r is bounded so that no inf - inf comes of it: m alone decides.
alignas(64) constexpr float kPowers[16] = {
    1.0f,       1.0442737f, 1.0905077f, 1.1387886f, 1.1892071f, 1.2418578f, 1.2968396f, 1.3542556f,
    1.4142135f, 1.4768262f, 1.5422108f, 1.6104903f, 1.6817929f, 1.7562522f, 1.8340081f, 1.9152066f};
inline Vec<float> exp(Vec<float> x) {
  const Vec<float> shift = broadcast(786432.0f);
  const Vec<float> z = fma(x, broadcast(1.44269504f), shift), m = z - shift;
  Vec<float> r = fma(m, broadcast(-0.693359375f), x);
  r = fma(m, broadcast(2.12194440e-4f), r);
  r.v = _mm512_range_ps(r.v, _mm512_set1_ps(0.0234375f), 2);  // the smaller magnitude, r's sign
  const Vec<float> power = looked_up(kPowers, _mm512_castps_si512(z.v));
  const Vec<float> q = fma(r, broadcast(0.166670577f), broadcast(0.500016186f));
  return scale2(fma(power, fma(r * r, q, r), power), m);
}

// 1 / (1 + e^-x).
inline Vec<float> sigmoid(Vec<float> x) { return reciprocal(broadcast(1.0f) + exp(-x)); }

// Polynomials of degree 6 about the middle of 16 pieces, two an octave from 1/16 on, the first down
// to 0 and about 0; error 4.1e-8. Rows are the coefficients from the constant on, then the middles;
// a column is a piece, chosen by the last three bits of the exponent and the first of the
// significand.
alignas(64) constexpr float kTanh[8][16] = {
    {0.9866143f, 0.9981779f, 0.9999092f, 0.99999833f, 0.99999994f, 1.0f, 0.0f, 0.10894093f,
     0.15499073f, 0.21532634f, 0.30270973f, 0.41157004f, 0.5545997f, 0.7039056f, 0.84828365f,
     0.94137555f},
    {0.026592331f, 0.0036409558f, 0.00018186131f, 3.3312424e-06f, 1.3558895e-07f, 0.0f, 1.0f,
     0.9881319f, 0.9759779f, 0.95363456f, 0.9083668f, 0.8306101f, 0.6924192f, 0.5045169f,
     0.28041476f, 0.113812044f},
    {-0.026236013f, -0.0036343061f, -0.00018181295f, -3.33068e-06f, -1.3558702e-07f, 0.0f,
     -9.41805e-09f, -0.10764801f, -0.15126753f, -0.20534264f, -0.2749715f, -0.34185424f,
     -0.3840155f, -0.3551323f, -0.23787133f, -0.107139826f},
    {0.017017487f, 0.0024117264f, 0.00011882174f, 2.1767796e-06f, 9.018283e-08f, 0.0f, -0.3333319f,
     -0.31765002f, -0.30188087f, -0.2736625f, -0.2195524f, -0.13617338f, -0.017837819f, 0.08180494f,
     0.108326115f, 0.06292824f},
    {-0.008052115f, -0.0011972664f, -5.9476763e-05f, -1.0898736e-06f, -4.5100062e-08f, 0.0f,
     -7.022628e-05f, 0.07048787f, 0.097210966f, 0.12737395f, 0.15811723f, 0.1699966f, 0.13790314f,
     0.06079826f, -0.012585975f, -0.023525704f},
    {0.002887274f, 0.0004903734f, 2.8481847e-05f, 5.22859e-07f, 1.919375e-08f, 0.0f, 0.13484311f,
     0.120146304f, 0.10718757f, 0.08494864f, 0.04550626f, -0.0059589217f, -0.054335933f,
     -0.05854763f, -0.019690676f, 0.0034822728f},
    {-0.00069558277f, -0.00015781028f, -9.418785e-06f, -1.7328428e-07f, -6.38632e-09f, 0.0f,
     -0.0147627015f, -0.039568122f, -0.052171182f, -0.06508265f, -0.07236357f, -0.061752573f,
     -0.024366498f, 0.012852981f, 0.015104886f, 0.0021091076f},
    {2.5f, 3.5f, 5.0f, 7.0f, 8.6f, 0.0f, 0.0f, 0.109375f, 0.15625f, 0.21875f, 0.3125f, 0.4375f,
     0.625f, 0.875f, 1.25f, 1.75f}};
inline Vec<float> tanh(Vec<float> x) {
  const Vec<float> a = min(broadcast(9.2f), abs(x));
  const __m512i piece = _mm512_srli_epi32(_mm512_castps_si512(max(a, broadcast(0.0625f)).v), 22);
  const Vec<float> u = a - looked_up(kTanh[7], piece);
  Vec<float> p = looked_up(kTanh[6], piece);
#pragma GCC unroll 6
  for (int i = 5; i >= 0; --i) p = fma(p, u, looked_up(kTanh[i], piece));
  return copysign(p, x);
}

}  // namespace
}  // namespace striate
