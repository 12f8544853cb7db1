// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm/gemm.h"

#include "bindings/epilogue.h"

namespace striate {
namespace {

// The matrices of x's last two axes; leading axes are the batch.
template <class T>
Matrix<T> matrix(const Operand& x, int first) {
  return {x.as<T>(), x.stride[first], x.stride[first + 1], first ? x.stride[0] : 0};
}

struct Product {
  ptrdiff_t batch, m, n, k;
};

// a [M, K] or [batch, M, K]; b [K, N] or [batch, K, N]. A batch of 1 is shared.
Product sizes(const Operand& a, const Operand& b) {
  auto rank_of = [](const Operand& x, const char* name) {
    if (x.rank != 2 && x.rank != 3)
      fail("gemm", name, "rank 2 (rows, columns) or 3 (batch, rows, columns)", "shape " + x.text());
  };
  rank_of(a, "a");
  rank_of(b, "b");
  int fa = a.rank - 2, fb = b.rank - 2;
  Product p{1, a.shape[fa], b.shape[fb + 1], a.shape[fa + 1]};
  if (b.shape[fb] != p.k)
    fail("gemm", "b", std::to_string(p.k) + " rows, as many as a " + a.text() + " has columns",
         "shape " + b.text());
  ptrdiff_t na = fa ? a.shape[0] : 1, nb = fb ? b.shape[0] : 1;
  if (na != nb && na != 1 && nb != 1)
    fail("gemm", "b", "a batch of " + std::to_string(na) + " or 1, as a " + a.text() + " has",
         "shape " + b.text());
  p.batch = na == 1 ? nb : na;
  return p;
}

py::object gemm_binding(py::handle a_array, py::handle b_array, py::handle bias,
                        py::handle activation, double parameter, double alpha, double beta,
                        py::handle out) {
  Operand a = read(a_array, "gemm", "a"), b = read(b_array, "gemm", "b");
  same_dtype("gemm", "b", a, b);
  Product s = sizes(a, b);
  bool batched = a.rank == 3 || b.rank == 3;
  ptrdiff_t shape[3] = {s.batch, s.m, s.n};
  if (beta != 0 && out.is_none())
    fail("gemm", "beta", "0 where no `out` is given to be added to", std::to_string(beta));
  Result r = result("gemm", out, a.dtype, shape + !batched, batched ? 3 : 2);
  EpilogueArguments epilogue("gemm", bias, activation, parameter, a);
  dispatch(a.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    GemmProblem<T> p{s.batch,
                     s.m,
                     s.n,
                     s.k,
                     matrix<const T>(a, a.rank - 2),
                     matrix<const T>(b, b.rank - 2),
                     matrix<T>(r.operand, batched ? 1 : 0)};
    if (a.rank == 3 && a.shape[0] == 1) p.a.batch = 0;
    if (b.rank == 3 && b.shape[0] == 1) p.b.batch = 0;
    p.alpha = T(alpha), p.beta = T(beta);
    p.epilogue = epilogue.of<T>(s.n);
    double flops = 2.0 * double(s.batch) * double(s.m) * double(s.n) * double(s.k);
    ReleaseGil release(flops * 0.02);
    gemm(p);
  });
  return std::move(r.object);
}

}  // namespace

void bind_gemm(py::module_& m) {
  m.def("gemm", &gemm_binding, py::arg("a"), py::arg("b"), py::arg("bias") = py::none(),
        py::arg("activation") = py::none(), py::arg("parameter") = 0.0, py::arg("alpha") = 1.0,
        py::arg("beta") = 0.0, py::arg("out") = py::none(),
        "activation(alpha * a @ b + beta * out + bias), batched over a leading axis.");
}

}  // namespace striate
