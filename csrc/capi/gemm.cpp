// SPDX-License-Identifier: Apache-2.0
#include "capi/capi.h"

using namespace striate;

extern "C" striate_status striate_gemm(const striate_tensor* a_tensor,
                                       const striate_tensor* b_tensor,
                                       const striate_epilogue* epilogue,
                                       const striate_tensor* c_tensor) {
  return capi::guarded([&] {
    Operand a = capi::read("gemm", "a", a_tensor), b = capi::read("gemm", "b", b_tensor);
    Operand c = capi::written("gemm", "c", c_tensor);
    same_dtype("gemm", "b", a, b);
    same_dtype("gemm", "c", a, c);
    const GemmSizes s = gemm_sizes(a, b);
    expect_shape("gemm", "c", c, s.result, s.rank);
    const capi::Input bias = capi::bias_of("gemm", epilogue, a, s.n);
    dispatch(a.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      GemmProblem<T> p = gemm_problem<T>(s, a, b, c);
      p.epilogue = capi::epilogue_of<T>(epilogue, bias);
      if (epilogue != nullptr) p.alpha = T(epilogue->alpha), p.beta = T(epilogue->beta);
      gemm(p);
    });
  });
}
