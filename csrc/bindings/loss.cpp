// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include <cmath>

#include "bindings/device_indices.h"

namespace striate {
namespace {

// What a mean or a sum of the parts is; the mean of nothing is NaN.
py::object total_on_device(py::handle parts, LossReduction reduction, ptrdiff_t count) {
  py::object total = sum_of_parts(parts);
  if (count == 0 && reduction == LossReduction::mean) total.attr("fill")(std::nan(""));
  return total;
}

bool are_labels(py::handle target) {
  if (is_on_device(target))
    return py::str(target.attr("dtype").attr("name")).equal(py::str("int64"));
  return py::isinstance<py::array_t<int64_t, 0>>(target);
}

// The classes are made the last axis in memory. Labels are checked, and what counts is added up,
// before the kernel: it takes a wait for the stream.
py::object cross_entropy_on_device(CrossEntropy& p, py::handle x_array, py::handle target,
                                   const ptrdiff_t* shape, int rank, bool gradient,
                                   py::handle out) {
  const char* op = "cross_entropy";
  const int axis = p.x.rank == 1 ? 0 : 1, device = p.x.device;
  const ptrdiff_t rows = p.x.shape[axis] ? p.x.size() / p.x.shape[axis] : 0;
  double total = double(rows);
  if (p.labels) {
    const IndexCheck found = check_on_device(*p.labels, p.x.shape[axis], p.ignored, p.x.dtype,
                                             p.weight ? p.weight->data : nullptr);
    if (found.place >= 0) refuse_label(p, found.place, found.value);
    total = found.weight;
  }
  DenseOnDevice x_held, target_held;
  const Operand dense = x_held.of(axis_to_end(x_array, axis), op, "input");
  p.x.data = dense.data;
  if (p.target) p.target = target_held.of(axis_to_end(target, axis), op, "target");
  Result dx;
  if (gradient) dx = result(op, py::none(), dense.dtype, dense.shape, dense.rank, device);
  const bool each = p.reduction == LossReduction::none;
  const Result losses = each ? result(op, py::none(), p.x.dtype, shape, rank, device)
                             : result(op, py::none(), p.x.dtype, &rows, 1, device);
  on_stream(device, [&](const cuda::Stream& s) {
    cross_entropy_launch(s, p, total, losses.operand.data, gradient ? dx.operand.data : nullptr);
  });
  py::object loss = each ? losses.object : total_on_device(losses.object, p.reduction, rows);
  if (!gradient) return py::make_tuple(loss, py::none());
  dx.object = axis_from_end(dx.object, axis);
  dx.operand = read_on_device(dx.object, op, "out");
  return py::make_tuple(loss, into(op, out, std::move(dx)));
}

// Returns (loss, gradient or None). The gradient is that of the loss (of each loss, where they are
// not reduced) with respect to x.
py::object cross_entropy_binding(py::handle x_array, py::handle target, py::handle weight,
                                 int64_t ignore_index, const char* reduction, double smoothing,
                                 bool gradient, py::handle out) {
  const char* op = "cross_entropy";
  CrossEntropy p;
  p.x = read(x_array, op, "input", Places::any);
  if (are_labels(target)) {
    p.labels = read_indices(target, op, "target", Places::any);
    same_place(op, "input", p.x, "target", *p.labels);
  } else {
    p.target = read(target, op, "target", Places::any);
    same_place(op, "input", p.x, "target", *p.target);
  }
  py::object weight_held;
  if (!weight.is_none()) {
    weight_held = c_contiguous(weight, op, "weight");
    p.weight = read(weight_held, op, "weight", Places::any);
    same_place(op, "input", p.x, "weight", *p.weight);
  }
  p.ignored = ignore_index;
  p.smoothing = smoothing;
  p.reduction = reduction_by_name(op, reduction);
  ptrdiff_t shape[kMaxRank];
  const int rank = cross_entropy_shape(p, shape);
  if (p.x.device != kCpu)
    return cross_entropy_on_device(p, x_array, target, shape, rank, gradient, out);
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

py::object pointwise_on_device(const char* op, const Pointwise& p, const Result& dx,
                               py::object dx_held) {
  const ptrdiff_t n = p.x.size(), parts = pointwise_parts(n);
  const bool each = p.reduction == LossReduction::none;
  const Result made = each ? result_like(op, py::none(), p.x)
                           : result(op, py::none(), p.x.dtype, &parts, 1, p.x.device);
  on_stream(p.x.device,
            [&](const cuda::Stream& s) { pointwise_loss_launch(s, p, made.operand, dx.operand); });
  if (!dx_held.is_none() && !dx.object.is(dx_held))
    dx_held.attr("__setitem__")(py::ellipsis(), dx.object);
  return py::make_tuple(each ? made.object : total_on_device(made.object, p.reduction, n), dx_held);
}

// x where it lies, if target lies alike; else both in C order. Returns (loss, gradient or None).
py::object pointwise_binding(const char* op, Loss what, py::handle x_array, py::handle target_array,
                             double parameter, double factor, const char* reduction, bool gradient,
                             py::handle out) {
  Pointwise p{};
  p.what = what, p.parameter = parameter, p.factor = factor;
  p.reduction = reduction_by_name(op, reduction);
  p.x = read(x_array, op, "input", Places::any);
  p.target = read(target_array, op, "target", Places::any);
  same_place(op, "input", p.x, "target", p.target);
  same_dtype(op, "target", p.x, p.target);
  expect_shape(op, "target", p.target, p.x.shape, p.x.rank);
  const int rank = p.x.rank;
  Result dx;
  dx.operand = p.x, dx.operand.data = nullptr;
  if (gradient) dx = result_like(op, out, p.x);
  py::object x_held, target_held, dx_held = gradient ? dx.object : py::none();
  const bool alike = is_dense(p.x) && equal_strides(p.x, p.target);
  if (!alike || (gradient && !equal_strides(p.x, dx.operand))) {
    x_held = c_contiguous(x_array, op, "input"), p.x = read(x_held, op, "input", Places::any);
    target_held = c_contiguous(target_array, op, "target");
    p.target = read(target_held, op, "target", Places::any);
    if (gradient && !is_c_order(dx.operand))
      dx = result(op, py::none(), p.x.dtype, p.x.shape, rank, p.x.device);
  }
  if (p.x.device != kCpu) return pointwise_on_device(op, p, dx, dx_held);
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
