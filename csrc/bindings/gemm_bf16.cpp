// SPDX-License-Identifier: Apache-2.0
#include "bindings/gemm_bf16.h"

#include "bindings/epilogue.h"
#include "ops/gemm_bf16/gemm_bf16.h"

namespace striate {
py::object gemm_bf16_binding(const Operand& a, py::handle b_array, py::handle bias,
                             py::handle activation, py::handle parameter, double alpha, double beta,
                             py::handle out) {
  const char* op = "gemm";
  const Operand b = read_with_bf16(b_array, op, "b");
  same_dtype(op, "b", a, b);
  const GemmSizes s = gemm_sizes(a, b);
  if (beta != 0 && out.is_none())
    fail(op, "beta", "0 where no `out` is given to be added to", std::to_string(beta));
  const bool narrow = !out.is_none() && read_with_bf16(out, op, "out").dtype == Dtype::bf16;
  Result r = result(op, out, narrow ? Dtype::bf16 : Dtype::f32, s.result, s.rank);
  Operand sums = a;
  sums.dtype = Dtype::f32;
  const EpilogueArguments epilogue(op, bias, activation, parameter, sums);
  GemmBf16Problem p{
      s.batch, s.m, s.n, s.k, matrices<const bfloat16>(a), matrices<const bfloat16>(b), {}};
  if (narrow)
    p.narrow_c = matrices<bfloat16>(r.operand);
  else
    p.c = matrices<float>(r.operand);
  p.alpha = float(alpha), p.beta = float(beta);
  p.epilogue = epilogue.of<float>(s.n);
  ReleaseGil release(0.04 * double(s.batch) * double(s.m) * double(s.n) * double(s.k));
  gemm_bf16(p);
  return std::move(r.object);
}

}  // namespace striate
