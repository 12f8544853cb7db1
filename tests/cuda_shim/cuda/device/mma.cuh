// SPDX-License-Identifier: Apache-2.0
// The words of csrc/cuda/device/mma.cuh. Fragments lie as the PTX ISA says (mma.m16n8k8, m16n8k16,
// ldmatrix); g = lane / 4, t = lane % 4. Products are exact, sums are made in double and cut off
// towards zero once an instruction, which is no better than what the hardware does.
#pragma once
#include "cuda/device/convert.cuh"
#include "cuda/device/memory.cuh"

namespace striate {
namespace mma_model {

struct Operand {
  float* d;
  const uint32 *a, *b;
};

inline float cut(double x) {
  const float nearest = float(x);
  if (std::isnan(x) || std::fabs(double(nearest)) <= std::fabs(x)) return nearest;
  return std::isinf(x) ? nearest : std::nextafterf(nearest, 0.0f);
}

// d[16, 8] += a[16, K] b[K, 8]; element(x, row or column, k) finds the operands' elements.
template <int K, class A, class B>
void multiply(void** lanes, A a, B b) {
  double left[16][K], right[K][8];
  for (int lane = 0; lane < 32; ++lane) {
    const Operand& o = *static_cast<Operand*>(lanes[lane]);
    a(lane / 4, lane % 4, o.a, left);
    b(lane / 4, lane % 4, o.b, right);
  }
  for (int lane = 0; lane < 32; ++lane) {
    float* d = static_cast<Operand*>(lanes[lane])->d;
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      double sum = d[i];
      for (int k = 0; k < K; ++k) sum += left[row][k] * right[k][column];
      d[i] = cut(sum);
    }
  }
}

template <class T>
float half_of(uint32 pair, int upper) {
  return to_float(T{uint16(upper ? pair >> 16 : pair)});
}
// The tensor cores read 19 bits of a float.
inline float tf32_of(uint32 bits) { return __uint_as_float(bits & 0xffffe000u); }

}  // namespace mma_model

// a0 (g, t)  a1 (g + 8, t)  a2 (g, t + 4)  a3 (g + 8, t + 4)   b0 (t, g)  b1 (t + 4, g)
inline void mma_tf32(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  mma_model::Operand mine{d, a, b};
  shim::meet("mma", 0xffffffff, &mine, [](void** lanes) {
    mma_model::multiply<8>(
        lanes,
        [](int g, int t, const uint32* a, double (&x)[16][8]) {
          for (int i = 0; i < 4; ++i) x[g + i % 2 * 8][t + i / 2 * 4] = mma_model::tf32_of(a[i]);
        },
        [](int g, int t, const uint32* b, double (&x)[8][8]) {
          for (int i = 0; i < 2; ++i) x[t + i * 4][g] = mma_model::tf32_of(b[i]);
        });
  });
}

// Pairs along k: a0 (g, 2t)  a1 (g + 8, 2t)  a2 (g, 2t + 8)  a3 (g + 8, 2t + 8)
//                b0 (2t, g)  b1 (2t + 8, g)
template <class T>
inline void mma_16(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  mma_model::Operand mine{d, a, b};
  shim::meet("mma", 0xffffffff, &mine, [](void** lanes) {
    mma_model::multiply<16>(
        lanes,
        [](int g, int t, const uint32* a, double (&x)[16][16]) {
          for (int i = 0; i < 8; ++i)
            x[g + i / 2 % 2 * 8][t * 2 + i / 4 * 8 + i % 2] =
                mma_model::half_of<T>(a[i / 2], i % 2);
        },
        [](int g, int t, const uint32* b, double (&x)[16][8]) {
          for (int i = 0; i < 4; ++i)
            x[t * 2 + i / 2 * 8 + i % 2][g] = mma_model::half_of<T>(b[i / 2], i % 2);
        });
  });
}

// Lane 8 i + r names row r of matrix i. Lane gets of each the elements 2t and 2t + 1 of row g;
// transposed: element g of the rows 2t and 2t + 1.
template <bool kTransposed, class T>
inline void ldmatrix_x4(uint32 (&r)[4], Shared<T> row) {
  static_assert(sizeof(T) == 2);
  struct Operand {
    uint16 row[8];
    uint32* r;
  } mine;
  shim::shared_memory().read(row.offset(0, 16), 16, mine.row);
  mine.r = r;
  shim::meet("ldmatrix", 0xffffffff, &mine, [](void** lanes) {
    auto element = [&](int matrix, int i, int j) -> uint32 {
      if (kTransposed) std::swap(i, j);
      return static_cast<Operand*>(lanes[8 * matrix + i])->row[j];
    };
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const int g = lane / 4, t = lane % 4;
        static_cast<Operand*>(lanes[lane])->r[i] = element(i, g, 2 * t) | element(i, g, 2 * t + 1)
                                                                              << 16;
      }
  });
}

}  // namespace striate
