// SPDX-License-Identifier: Apache-2.0
#include "ops/reduce/reduce.h"

#include "bindings/array.h"

namespace striate {
namespace {

py::object sum_binding(py::handle x_array, const py::tuple& axes, py::handle out) {
  Operand x = read(x_array, "sum", "x");
  bool reduced[kMaxRank] = {};
  for (py::handle a : axes) {
    ptrdiff_t axis = PyLong_AsSsize_t(a.ptr());
    if (axis == -1 && PyErr_Occurred()) throw py::error_already_set();
    if (axis < 0 || axis >= x.rank)
      throw std::out_of_range("sum: axes: expected 0 to " + std::to_string(x.rank - 1) + ", got " +
                              std::to_string(axis));
    reduced[axis] = true;
  }
  ptrdiff_t shape[kMaxRank];
  int rank = 0;
  for (int i = 0; i < x.rank; ++i)
    if (!reduced[i]) shape[rank++] = x.shape[i];
  Result r = result("sum", out, x.dtype, shape, rank);
  ReleaseGil release(0.2 * double(x.size()));
  sum(x, reduced, r.operand);
  return std::move(r.object);
}

py::object broadcast_binding(py::handle x, const py::tuple& shape) {
  if (shape.size() > size_t(kMaxRank))
    fail("broadcast_to", "shape", "at most 8 axes", std::to_string(shape.size()));
  ptrdiff_t sizes[kMaxRank];
  for (size_t i = 0; i < shape.size(); ++i) {
    sizes[i] = PyLong_AsSsize_t(shape[i].ptr());
    if (sizes[i] == -1 && PyErr_Occurred()) throw py::error_already_set();
    if (sizes[i] < 0) fail("broadcast_to", "shape", "sizes of 0 or more", std::to_string(sizes[i]));
  }
  return broadcast_to(x, sizes, int(shape.size()));
}

}  // namespace

void bind_reduce(py::module_& m) {
  m.def("broadcast_to", &broadcast_binding, py::arg("x"), py::arg("shape"),
        "A read-only view of x repeated to a shape: the gradient of a sum.");
  m.def("sum", &sum_binding, py::arg("x"), py::arg("axes"), py::arg("out") = py::none(),
        "The sum over the given axes, which are dropped.");
}

}  // namespace striate
