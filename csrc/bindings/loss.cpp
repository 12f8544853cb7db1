// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include "bindings/array.h"

namespace striate {
namespace {

// Returns (loss, gradient or None). The gradient is that of the loss (of each loss, where they are
// not reduced) with respect to x.
py::object cross_entropy_binding(py::handle x_array, py::handle target, py::handle weight,
                                 int64_t ignore_index, const char* reduction, double smoothing,
                                 bool gradient, py::handle out) {
  const char* op = "cross_entropy";
  CrossEntropy p;
  p.x = read(x_array, op, "input");
  if (py::isinstance<py::array_t<int64_t, 0>>(target))
    p.labels = read_indices(target, op, "target");
  else
    p.target = read(target, op, "target");
  py::object weight_held;
  if (!weight.is_none()) {
    weight_held = c_contiguous(weight, op, "weight");
    p.weight = read(weight_held, op, "weight");
  }
  p.ignored = ignore_index;
  p.smoothing = smoothing;
  p.reduction = reduction_by_name(op, reduction);
  ptrdiff_t shape[kMaxRank];
  const int rank = cross_entropy_shape(p, shape);
  Result dx;
  dx.operand = p.x, dx.operand.data = nullptr;
  if (gradient) dx = result_like(op, out, p.x);
  py::object gradient_object = gradient ? dx.object : py::none();
  Result loss = result(op, py::none(), p.x.dtype, shape, rank);
  {
    ReleaseGil release(double(p.x.size()));
    cross_entropy(p, loss.operand, dx.operand);
  }
  return py::make_tuple(loss.object, gradient_object);
}

bool equal_strides(const Operand& a, const Operand& b) {
  for (int i = 0; i < a.rank; ++i)
    if (a.shape[i] > 1 && a.stride[i] != b.stride[i]) return false;
  return true;
}

// x where it lies, if target lies alike; else both in C order. Returns (loss, gradient or None).
py::object pointwise_binding(const char* op, Loss what, py::handle x_array, py::handle target_array,
                             double parameter, double factor, const char* reduction, bool gradient,
                             py::handle out) {
  Pointwise p{};
  p.what = what, p.parameter = parameter, p.factor = factor;
  p.reduction = reduction_by_name(op, reduction);
  p.x = read(x_array, op, "input"), p.target = read(target_array, op, "target");
  same_dtype(op, "target", p.x, p.target);
  expect_shape(op, "target", p.target, p.x.shape, p.x.rank);
  const int rank = p.x.rank;
  Result dx;
  dx.operand = p.x, dx.operand.data = nullptr;
  if (gradient) dx = result_like(op, out, p.x);
  py::object x_held, target_held, dx_held = gradient ? dx.object : py::none();
  const bool alike = is_dense(p.x) && equal_strides(p.x, p.target);
  if (!alike || (gradient && !equal_strides(p.x, dx.operand))) {
    x_held = c_contiguous(x_array, op, "input"), p.x = read(x_held, op, "input");
    target_held = c_contiguous(target_array, op, "target");
    p.target = read(target_held, op, "target");
    if (gradient && !is_c_order(dx.operand))
      dx = result(op, py::none(), p.x.dtype, p.x.shape, rank);
  }
  Result loss = p.reduction == LossReduction::none
                    ? result_like(op, py::none(), p.x)
                    : result(op, py::none(), p.x.dtype, p.x.shape, 0);
  {
    ReleaseGil release(0.5 * double(p.x.size()));
    pointwise_loss(p, loss.operand, dx.operand);
  }
  if (gradient && !dx.object.is(dx_held)) dx_held[py::ellipsis()] = dx.object;
  return py::make_tuple(loss.object, dx_held);
}

void def_pointwise(py::module_& m, const char* op, Loss what, const char* doc) {
  m.def(
      op,
      [op, what](py::handle x, py::handle target, const char* reduction, bool gradient,
                 py::handle out) {
        return pointwise_binding(op, what, x, target, 0, 1, reduction, gradient, out);
      },
      py::arg("x"), py::arg("target"), py::arg("reduction") = "mean", py::arg("gradient") = false,
      py::arg("out") = py::none(), doc);
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("cross_entropy", &cross_entropy_binding, py::arg("x"), py::arg("target"),
        py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
        py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0,
        py::arg("gradient") = false, py::arg("out") = py::none(),
        "(loss, gradient of the loss or None). target: int64 labels, or probabilities like x. out "
        "takes the gradient.");
  def_pointwise(m, "mse_loss", Loss::squared_error,
                "((x - target)^2, its gradient or None). out takes the gradient.");
  def_pointwise(m, "l1_loss", Loss::absolute_error,
                "(|x - target|, its gradient or None). out takes the gradient.");
  def_pointwise(m, "binary_cross_entropy_with_logits", Loss::binary_logits,
                "((1 - target) x + log(1 + e^-x), its gradient or None). out takes the gradient.");
  m.def(
      "huber_loss",
      [](py::handle x, py::handle target, double delta, double factor, const char* reduction,
         bool gradient, py::handle out) {
        return pointwise_binding("huber_loss", Loss::huber, x, target, delta, factor, reduction,
                                 gradient, out);
      },
      py::arg("x"), py::arg("target"), py::arg("delta") = 1.0, py::arg("factor") = 1.0,
      py::arg("reduction") = "mean", py::arg("gradient") = false, py::arg("out") = py::none(),
      "(factor m (d - m / 2) with d = |x - target| and m = min(d, delta), its gradient or None). "
      "out takes the gradient.");
}

}  // namespace striate
