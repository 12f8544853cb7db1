// SPDX-License-Identifier: Apache-2.0
#include "ops/softmax/softmax.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

void check_axis(const char* op, const Operand& x, int axis) {
  if (axis < 0 || axis >= x.rank)
    throw std::out_of_range(std::string(op) + ": axis: expected 0 to " +
                            std::to_string(x.rank - 1) + ", got " + std::to_string(axis));
}

// Kernels of GPUs go along the last axis of arrays in C order: others are made so first.
py::object on_device(const char* op, Softmax what, py::handle x_array, py::handle dy_array,
                     int axis, py::handle out) {
  DenseOnDevice x_held, dy_held;
  const auto turned = [axis](py::handle array) { return array.attr("swapaxes")(axis, -1); };
  const Operand x = x_held.of(turned(x_array), op, "x");
  Operand dy = x;
  dy.data = nullptr;
  if (dy_array) dy = dy_held.of(turned(dy_array), op, "dy");
  Result y = result(op, py::none(), x.dtype, x.shape, x.rank, x.device);
  on_stream(x.device, [&](const cuda::Stream& s) { softmax_launch(s, what, x, dy, y.operand); });
  y.object = turned(y.object);
  y.operand = read_on_device(y.object, op, "out");
  return into(op, out, std::move(y));
}

template <Softmax kWhat>
void def_forward(py::module_& m, const char* name, const char* doc) {
  m.def(
      name,
      [name](py::handle x_array, int axis, py::handle out) {
        Operand x = read(x_array, name, "x", Places::any), none = x;
        check_axis(name, x, axis);
        if (x.device != kCpu) return on_device(name, kWhat, x_array, py::handle(), axis, out);
        none.data = nullptr;
        Result y = result_like(name, out, x);
        ReleaseGil release(double(x.size()));
        softmax(kWhat, x, none, axis, y.operand);
        return std::move(y.object);
      },
      py::arg("x"), py::arg("axis"), py::arg("out") = py::none(), doc);
}

template <Softmax kWhat>
void def_backward(py::module_& m, const char* name, const char* doc) {
  m.def(
      name,
      [name](py::handle y_array, py::handle dy_array, int axis, py::handle out) {
        Operand y = read(y_array, name, "y", Places::any);
        Operand dy = read(dy_array, name, "dy", Places::any);
        check_axis(name, y, axis);
        same_dtype(name, "dy", y, dy);
        same_place(name, "y", y, "dy", dy);
        expect_shape(name, "dy", dy, y.shape, y.rank);
        if (y.device != kCpu) return on_device(name, kWhat, y_array, dy_array, axis, out);
        Result dx = result_like(name, out, y);
        ReleaseGil release(double(y.size()));
        softmax(kWhat, y, dy, axis, dx.operand);
        return std::move(dx.object);
      },
      py::arg("y"), py::arg("dy"), py::arg("axis"), py::arg("out") = py::none(), doc);
}

}  // namespace

void bind_softmax(py::module_& m) {
  def_forward<Softmax::softmax>(m, "softmax", "exp(x) / sum exp(x) along an axis.");
  def_forward<Softmax::log_softmax>(m, "log_softmax", "x - log sum exp(x) along an axis.");
  def_backward<Softmax::softmax_backward>(m, "softmax_backward", "Its gradient, from its result.");
  def_backward<Softmax::log_softmax_backward>(m, "log_softmax_backward",
                                              "Its gradient, from its result.");
}

}  // namespace striate
