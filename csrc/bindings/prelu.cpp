// SPDX-License-Identifier: Apache-2.0
#include "ops/prelu/prelu.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

// Slopes that repeat to the shape of x.
Operand read_slopes(const char* op, py::handle array, const Operand& x) {
  Operand w = read(array, op, "weight", Places::any);
  same_place(op, "x", x, "weight", w);
  check_slopes(op, w, x);
  return w;
}

py::object forward(py::handle x_array, py::handle weight, py::handle out) {
  Operand x = read(x_array, "prelu", "x", Places::any), w = read_slopes("prelu", weight, x);
  Result y = result_like("prelu", out, x);
  if (x.device != kCpu) {
    on_stream(x.device, [&](const cuda::Stream& s) { prelu_launch(s, x, w, y.operand); });
    return std::move(y.object);
  }
  ReleaseGil release(0.3 * double(x.size()));
  prelu(x, w, y.operand);
  return std::move(y.object);
}

py::tuple backward(py::handle x_array, py::handle weight, py::handle dy_array, py::handle out) {
  const char* op = "prelu_backward";
  Operand x = read(x_array, op, "x", Places::any), w = read_slopes(op, weight, x);
  Operand dy = read(dy_array, op, "dy", Places::any);
  same_dtype(op, "dy", x, dy), same_place(op, "x", x, "dy", dy);
  expect_shape(op, "dy", dy, x.shape, x.rank);
  Result dx = result_like(op, out, x), dw = result_like(op, py::none(), x);
  if (x.device != kCpu) {
    on_stream(x.device, [&](const cuda::Stream& s) {
      prelu_backward_launch(s, x, w, dy, dx.operand, dw.operand);
    });
  } else {
    ReleaseGil release(0.5 * double(x.size()));
    prelu_backward(x, w, dy, dx.operand, dw.operand);
  }
  return py::make_tuple(std::move(dx.object), std::move(dw.object));
}

}  // namespace

void bind_prelu(py::module_& m) {
  m.def("prelu", &forward, py::arg("x"), py::arg("weight"), py::arg("out") = py::none(),
        "x, or weight * x where x <= 0; weight repeats to the shape of x.");
  m.def("prelu_backward", &backward, py::arg("x"), py::arg("weight"), py::arg("dy"),
        py::arg("out") = py::none(),
        "(dx, dw): dw has one element an element of x, to be summed where weight repeats.");
}

}  // namespace striate
