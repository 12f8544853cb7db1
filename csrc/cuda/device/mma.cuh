// SPDX-License-Identifier: Apache-2.0
// Tensor cores: d[16, 8] += a[16, K] b[K, 8] by the 32 lanes of a warp, sums in float32.
//
//   mma_tf32(d, a, b)         K = 8, words as to_tf32() gives them
//   mma_16<T>(d, a, b)        K = 16, T bfloat16 or float16, two neighbours along k to a word
//   ldmatrix_x4<transposed>(r, row)
//                             four 8 x 8 matrices of 16-bit elements from shared memory; lane
//                             8 i + j gives the address of row j of matrix i, a multiple of 16
//                             bytes
//
// With g = lane / 4 and t = lane % 4, a lane holds (PTX ISA, mma.m16n8k8 and m16n8k16)
//   d     (g, 2t) (g, 2t + 1) (g + 8, 2t) (g + 8, 2t + 1)
//   tf32  a: (g, t) (g + 8, t) (g, t + 4) (g + 8, t + 4)           b: (t, g) (t + 4, g)
//   16    a: (g, 2t) (g + 8, 2t) (g, 2t + 8) (g + 8, 2t + 8)       b: (2t, g) (2t + 8, g)
// and of an 8 x 8 matrix (g, 2t) and (g, 2t + 1), transposed (2t, g) and (2t + 1, g).
#pragma once
#include "cuda/device/convert.cuh"
#include "cuda/device/memory.cuh"

namespace striate {

inline void mma_tf32(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <class T>
inline void mma_16(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]);

template <>
inline void mma_16<bfloat16>(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
inline void mma_16<float16>(float (&d)[4], const uint32 (&a)[4], const uint32 (&b)[2]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <bool kTransposed, class T>
inline void ldmatrix_x4(uint32 (&r)[4], Shared<T> row) {
  const uint32 address = uint32(__cvta_generic_to_shared(row));
  if constexpr (kTransposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
}

}  // namespace striate
