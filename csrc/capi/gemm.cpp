// SPDX-License-Identifier: Apache-2.0
#include "capi/capi.h"

using namespace striate;

namespace {

// The matrices of x's last two axes, with the axis before them, if there is one, as the batch.
template <class T>
Matrix<T> matrix(const Operand& x) {
  int first = x.rank - 2;
  ptrdiff_t batch = first == 1 && x.shape[0] != 1 ? x.stride[0] : 0;
  return {x.as<T>(), x.stride[first], x.stride[first + 1], batch};
}

ptrdiff_t batch_of(const Operand& x) { return x.rank == 3 ? x.shape[0] : 1; }

Operand matrices(const char* argument, const Operand& x) {
  if (x.rank != 2 && x.rank != 3)
    fail("gemm", argument, "rank 2 (rows, columns) or 3 (batch, rows, columns)",
         "shape " + x.text());
  return x;
}

template <class T>
void product(const Operand& a, const Operand& b, const striate_epilogue* e, const Operand& c) {
  ptrdiff_t m = a.shape[a.rank - 2], k = a.shape[a.rank - 1], n = b.shape[b.rank - 1];
  GemmProblem<T> p{batch_of(c), m, n, k, matrix<const T>(a), matrix<const T>(b), matrix<T>(c)};
  p.epilogue = capi::epilogue_of<T>("gemm", e, a, n);
  if (e != nullptr) p.alpha = T(e->alpha), p.beta = T(e->beta);
  gemm(p);
}

}  // namespace

extern "C" striate_status striate_gemm(const striate_tensor* a_tensor,
                                       const striate_tensor* b_tensor,
                                       const striate_epilogue* epilogue,
                                       const striate_tensor* c_tensor) {
  return capi::guarded([&] {
    Operand a = matrices("a", capi::read("gemm", "a", a_tensor));
    Operand b = matrices("b", capi::read("gemm", "b", b_tensor));
    Operand c = matrices("c", capi::written("gemm", "c", c_tensor));
    capi::same_dtype("gemm", "b", a, b);
    capi::same_dtype("gemm", "c", a, c);
    ptrdiff_t k = a.shape[a.rank - 1];
    if (b.shape[b.rank - 2] != k)
      fail("gemm", "b", std::to_string(k) + " rows, as many as a has columns", "shape " + b.text());
    ptrdiff_t na = batch_of(a), nb = batch_of(b);
    if (na != nb && na != 1 && nb != 1)
      fail("gemm", "b", "a batch of " + std::to_string(na) + " or 1", "shape " + b.text());
    bool batched = a.rank == 3 || b.rank == 3;
    ptrdiff_t shape[3] = {na == 1 ? nb : na, a.shape[a.rank - 2], b.shape[b.rank - 1]};
    expect_shape("gemm", "c", c, shape + !batched, batched ? 3 : 2);
    dispatch(a.dtype, [&](auto* t) { product<pointee<decltype(t)>>(a, b, epilogue, c); });
  });
}
