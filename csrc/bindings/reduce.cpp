// SPDX-License-Identifier: Apache-2.0
#include "ops/reduce/reduce.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

// The axes in one order: those that are reduced first, or last.
py::object ordered(py::handle x, const bool* reduced, int rank, bool first) {
  py::list order;
  for (const bool now : {first, !first})
    for (int i = 0; i < rank; ++i)
      if (reduced[i] == now) order.append(i);
  return x.attr("transpose")(*order);
}

// The reduced axes as the last ones, or as the first ones if these lie so, as the pixels of a
// channels-last image do; the array in C order is then a matrix whose rows, or columns, are summed.
py::object sum_on_device(py::handle x_array, const bool* reduced, const ptrdiff_t* shape, int rank,
                         py::handle out) {
  Operand x = read(x_array, "sum", "x", Places::any);
  const int count = x.rank - rank;
  DenseOnDevice held;
  const py::object turned = ordered(x_array, reduced, x.rank, true);
  const bool first = rank > 0 && is_c_order(read_on_device(turned, "sum", "x"));
  x = held.of(first ? turned : ordered(x_array, reduced, x.rank, false), "sum", "x");
  ptrdiff_t kept = 1, summed = 1;
  for (int i = 0; i < rank; ++i) kept *= shape[i];
  for (int i = 0; i < count; ++i) summed *= x.shape[first ? i : rank + i];
  Result y;
  do {
    const SumStep step = first ? sum_step(true, summed, kept) : sum_step(false, kept, summed);
    ptrdiff_t partial[] = {first ? step.parts : kept, first ? kept : step.parts};
    Result next = step.parts > 1 ? result("sum", py::none(), x.dtype, partial, 2, x.device)
                                 : result("sum", py::none(), x.dtype, shape, rank, x.device);
    on_stream(x.device, [&](const cuda::Stream& s) { sum_launch(s, step, x, next.operand); });
    y = std::move(next), x = y.operand, summed = step.parts;
  } while (summed > 1);
  return into("sum", out, std::move(y));
}

}  // namespace

py::object sum_of_parts(py::handle parts) {
  const Operand x = read_on_device(parts, "sum", "x");
  const bool reduced[kMaxRank] = {true};
  return sum_on_device(parts, reduced, x.shape + 1, x.rank - 1, py::none());
}

namespace {

py::object sum_binding(py::handle x_array, const py::tuple& axes, py::handle out) {
  Operand x = read(x_array, "sum", "x", Places::any);
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
  if (x.device != kCpu) return sum_on_device(x_array, reduced, shape, rank, out);
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
  if (is_on_device(x)) return py::module_::import("numpy").attr("broadcast_to")(x, shape);
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
