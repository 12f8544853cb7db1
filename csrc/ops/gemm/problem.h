// SPDX-License-Identifier: Apache-2.0
// A product of arrays, checked: what every way to call it has to do first.
#pragma once
#include "core/operand.h"
#include "ops/gemm/gemm.h"
#include "ops/gemm/parts.h"

namespace striate {

// a (M, K), b (K, N), or with a batch in front of either; a batch of 1 is shared.
struct GemmSizes {
  ptrdiff_t batch, m, n, k;
  int rank;             // of the result: 2, or 3 where an operand has a batch
  ptrdiff_t result[3];  // its shape
};
GemmSizes gemm_sizes(const Operand& a, const Operand& b);  // throws std::invalid_argument

// The matrices of x's last two axes; the axis before them, if there is one, is the batch.
template <class T>
Matrix<T> matrices(const Operand& x) {
  const int first = x.rank - 2;
  const ptrdiff_t batch = first == 1 && x.shape[0] != 1 ? x.stride[0] : 0;
  return {x.as<T>(), x.stride[first], x.stride[first + 1], batch};
}

template <class T>
GemmProblem<T> gemm_problem(const GemmSizes& s, const Operand& a, const Operand& b,
                            const Operand& c) {
  return {s.batch, s.m, s.n, s.k, matrices<const T>(a), matrices<const T>(b), matrices<T>(c)};
}

// The product on a GPU: of float32 by the method of float32_precision(), of float64, or of bfloat16
// with c of float32 or bfloat16; R is double for float64, else float. Rows or columns of a and b
// are dense, which `gemm_launch_reads` tells, and rows of c. No activation in the epilogue. The sum
// may go by the parts that gemm_launch_parts gives, in working space of as many R, which have
// `item` bytes, at most `most` bytes.
bool gemm_launch_reads(const Operand& x);
SumParts gemm_launch_parts(int device, const GemmSizes& s, ptrdiff_t most = ptrdiff_t(64) << 20,
                           size_t item = sizeof(float));
template <class R>
void gemm_launch(const cuda::Stream& stream, const GemmSizes& s, const Operand& a, const Operand& b,
                 const Operand& c, double alpha, double beta, const Epilogue<R>& epilogue,
                 const SumParts& parts = kWholeSum, R* space = nullptr);

// Makes f part of an epilogue: in registers where a clamp does it.
template <class T>
void set_activation(Epilogue<T>& e, Activation f, const Parameters<double>& p) {
  if (f == Activation::relu) {
    e.low = 0;
  } else if (f == Activation::hardtanh) {
    e.low = T(p.a), e.high = T(p.b);
  } else {
    e.activation = activation_kernel<T>(f);
    e.parameter = {T(p.a), T(p.b)};
  }
}

}  // namespace striate
