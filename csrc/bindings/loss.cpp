// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include <cstring>

#include "bindings/array.h"

namespace striate {
namespace {

LossReduction reduction_by_name(const char* op, const char* name) {
  if (std::strcmp(name, "mean") == 0) return LossReduction::mean;
  if (std::strcmp(name, "sum") == 0) return LossReduction::sum;
  if (std::strcmp(name, "none") == 0) return LossReduction::none;
  fail(op, "reduction", "\"mean\", \"sum\" or \"none\"", "\"" + std::string(name) + "\"");
}

void check_logits(const char* op, const Operand& x) {
  if (x.rank < 1) fail(op, "input", "(C,), (N, C) or (N, C, d1, …)", "shape " + x.text());
  if (x.shape[x.rank == 1 ? 0 : 1] < 1)
    fail(op, "input", "at least one class", "shape " + x.text());
}

// Returns (loss, gradient or None). The gradient is that of the loss (of each loss, where they are
// not reduced) with respect to x.
py::object cross_entropy_binding(py::handle x_array, py::handle target, py::handle weight,
                                 int64_t ignore_index, const char* reduction, double smoothing,
                                 bool gradient, py::handle out) {
  const char* op = "cross_entropy";
  CrossEntropy p{};
  p.x = read(x_array, op, "input");
  check_logits(op, p.x);
  const int axis = p.x.rank == 1 ? 0 : 1;
  ptrdiff_t rows[kMaxRank];
  int rank = 0;
  for (int i = 0; i < p.x.rank; ++i)
    if (i != axis) rows[rank++] = p.x.shape[i];

  p.target = p.x, p.target.data = nullptr;
  if (py::isinstance<py::array_t<int64_t, 0>>(target)) {
    Indices labels = read_indices(target, op, "target");
    bool same = labels.rank == rank;
    for (int i = 0; same && i < rank; ++i) same = labels.shape[i] == rows[i];
    if (!same)
      fail(op, "target",
           "shape " + shape_text(rows, rank) + ", a class for each row of input " + p.x.text(),
           "shape " + shape_text(labels.shape, labels.rank));
    p.labels = labels.data;
  } else {
    p.target = read(target, op, "target");
    same_dtype(op, "target", p.x, p.target);
    expect_shape(op, "target", p.target, p.x.shape, p.x.rank);
  }
  p.weight = p.x, p.weight.data = nullptr;
  py::object weight_held;
  if (!weight.is_none()) {
    weight_held = c_contiguous(weight, op, "weight");
    p.weight = read(weight_held, op, "weight");
    same_dtype(op, "weight", p.x, p.weight);
    expect_shape(op, "weight", p.weight, &p.x.shape[axis], 1);
  }
  if (!(smoothing >= 0 && smoothing <= 1))
    fail(op, "label_smoothing", "a number from 0 to 1", std::to_string(smoothing));
  p.ignored = ignore_index;
  p.smoothing = smoothing;
  p.reduction = reduction_by_name(op, reduction);

  const int loss_rank = p.reduction == LossReduction::none ? rank : 0;
  Result dx;
  dx.operand = p.x, dx.operand.data = nullptr;
  if (gradient) dx = result_like(op, out, p.x);
  py::object gradient_object = gradient ? dx.object : py::none();
  Result loss = result(op, py::none(), p.x.dtype, rows, loss_rank);
  {
    ReleaseGil release(double(p.x.size()));
    cross_entropy(p, loss.operand, dx.operand);
  }
  return py::make_tuple(loss.object, gradient_object);
}

// x where it lies, if target lies alike; else both in C order.
py::object mse_binding(py::handle x_array, py::handle target_array, const char* reduction,
                       bool gradient, py::handle out) {
  const char* op = "mse_loss";
  Operand x = read(x_array, op, "input"), target = read(target_array, op, "target");
  same_dtype(op, "target", x, target);
  expect_shape(op, "target", target, x.shape, x.rank);
  LossReduction how = reduction_by_name(op, reduction);
  if (how == LossReduction::none) fail(op, "reduction", "\"mean\" or \"sum\" here", "\"none\"");
  Result dx;
  dx.operand = x, dx.operand.data = nullptr;
  if (gradient) dx = result_like(op, out, x);
  auto alike = [&](const Operand& other) {
    for (int i = 0; i < x.rank; ++i)
      if (x.shape[i] > 1 && x.stride[i] != other.stride[i]) return false;
    return is_dense(x);
  };
  py::object x_held, target_held, dx_held = gradient ? dx.object : py::none();
  if (!alike(target) || !alike(dx.operand)) {
    x_held = c_contiguous(x_array, op, "input"), x = read(x_held, op, "input");
    target_held = c_contiguous(target_array, op, "target"),
    target = read(target_held, op, "target");
    if (gradient && !is_c_order(dx.operand)) dx = result(op, py::none(), x.dtype, x.shape, x.rank);
  }
  Result loss = result(op, py::none(), x.dtype, x.shape, 0);
  {
    ReleaseGil release(0.5 * double(x.size()));
    mse(x, target, how, loss.operand, dx.operand);
  }
  if (gradient && !dx.object.is(dx_held)) dx_held[py::ellipsis()] = dx.object;
  return py::make_tuple(loss.object, dx_held);
}

}  // namespace

void bind_loss(py::module_& m) {
  m.def("cross_entropy", &cross_entropy_binding, py::arg("x"), py::arg("target"),
        py::arg("weight") = py::none(), py::arg("ignore_index") = -100,
        py::arg("reduction") = "mean", py::arg("label_smoothing") = 0.0,
        py::arg("gradient") = false, py::arg("out") = py::none(),
        "(loss, gradient of the loss or None). target: int64 labels, or probabilities like x. out "
        "takes the gradient.");
  m.def("mse_loss", &mse_binding, py::arg("x"), py::arg("target"), py::arg("reduction") = "mean",
        py::arg("gradient") = false, py::arg("out") = py::none(),
        "(mean or sum of (x - target)^2, its gradient or None). out takes the gradient.");
}

}  // namespace striate
