// SPDX-License-Identifier: Apache-2.0
// General matrix product, batched, with an epilogue.
//
//   C = activation(alpha * A B + beta * C + bias)      A [M, K]  B [K, N]  C [M, N]
//
// Every operand has any strides, counted in elements (transposes are strides), and a batch stride
// that may be 0 to share it. C overlaps neither A nor B. With beta == 0 C is not read, so it may
// hold NaN. With K == 0 the sum is 0. Where memory is out (OutOfMemory), parts of C may have been
// written already.
#pragma once
#include <cstddef>
#include <vector>

#include "core/registry.h"
#include "ops/activation/activation.h"

namespace striate {

template <class T>
struct Matrix {
  T* data;
  ptrdiff_t row, col;  // strides in elements
  ptrdiff_t batch;     // stride between the matrices of a batch
};

enum class BiasAxis { none, row, column };  // one bias a row of C, or one a column

template <class T>
struct Epilogue {
  const T* bias = nullptr;
  BiasAxis bias_axis = BiasAxis::none;
  T low, high;  // clamp, applied in registers: relu is [0, inf], hardtanh its limits
  UnaryFn<T>* activation = nullptr;  // applied to C while it is in cache
  Parameters<T> parameter;
  Epilogue();  // no bias, no clamp, no activation

  bool clamps() const { return low != Epilogue().low || high != Epilogue().high; }
  T clamped(T value) const {  // NaN stays NaN
    const T below = high < value ? high : value;
    return low > below ? low : below;
  }
};

template <class T>
struct GemmProblem {
  ptrdiff_t batch, m, n, k;
  Matrix<const T> a, b;
  Matrix<T> c;
  T alpha = 1, beta = 0;
  Epilogue<T> epilogue{};
  const T* packed_b = nullptr;  // pack_b's result for this B (then b.data is not read)
};

template <class T>
void gemm(const GemmProblem<T>& problem);

// B packed once for many products: panels of NR columns, [N / NR][K][NR], the last one zero-padded.
template <class T>
size_t packed_b_size(ptrdiff_t k, ptrdiff_t n);
// `panel_rows` (k if 0) is how many rows a panel holds in all, so that several B can share panels.
template <class T>
void pack_b(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, T* packed,
            ptrdiff_t panel_rows = 0);

}  // namespace striate
