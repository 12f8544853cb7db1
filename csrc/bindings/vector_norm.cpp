// SPDX-License-Identifier: Apache-2.0
#include "ops/vector_norm/vector_norm.h"

#include "bindings/array.h"

namespace striate {
namespace {

py::object vector_norm_binding(py::handle x_array, const char* what, py::handle out) {
  const char* op = "vector_norm";
  const NormSum sum = norm_sum_by_name(what);
  Operand x = read(x_array, op, "x");
  py::object held;
  if (!is_dense(x)) held = c_contiguous(x_array, op, "x"), x = read(held, op, "x");
  Result to = result(op, out, x.dtype, x.shape, 0);
  ReleaseGil release(0.2 * double(x.size()));
  vector_norm(sum, x, to.operand);
  return std::move(to.object);
}

}  // namespace

void bind_vector_norm(py::module_& m) {
  m.def("vector_norm", &vector_norm_binding, py::arg("x"), py::arg("what"),
        py::arg("out") = py::none(),
        "Over all elements: the sum of their \"squares\", of their \"absolute\" values, or the "
        "\"largest\" of these.");
}

}  // namespace striate
