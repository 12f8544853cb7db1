// SPDX-License-Identifier: Apache-2.0
#include "ops/norm/norm.h"

#include "bindings/norm_device.h"

namespace striate {
namespace {

Result result_of(const char* op, py::handle out, const Operand& x) {
  if (x.rank == 4) return result_channels_last(op, out, x.dtype, x.shape);
  return result(op, out, x.dtype, x.shape, x.rank);
}

// A vector of one number a channel, in C order; null for None.
struct Vector {
  py::object held;
  void* data = nullptr;

  Vector(const char* op, const char* argument, py::handle array, const Operand& x) {
    if (array.is_none()) return;
    held = c_contiguous(array, op, argument);
    Operand v = read(held, op, argument, Places::any);
    same_dtype(op, argument, x, v);
    same_place(op, "x", x, argument, v);
    expect_shape(op, argument, v, x.shape + 1, 1);
    data = v.data;
  }
};

// One that is written to, so it must be there itself.
Vector written(const char* op, const char* argument, py::handle array, const Operand& x) {
  if (!array.is_none()) {
    Operand v = read_out(array, op, argument, Places::any);
    if (!is_c_order(v)) fail(op, argument, "an array in C order", "a strided one");
  }
  return Vector(op, argument, array, x);
}

Operand read_input(const char* op, py::handle x_array, const char* argument) {
  Operand x = read(x_array, op, argument, Places::any);
  as_image(op, argument, x);
  return x;
}

py::tuple batch_norm_train_binding(py::handle x_array, py::handle weight, py::handle bias,
                                   py::handle running_mean, py::handle running_var, double momentum,
                                   double eps, py::handle out) {
  const char* op = "batch_norm";
  Operand x = read_input(op, x_array, "x");
  Vector w(op, "weight", weight, x), b(op, "bias", bias, x);
  Vector rm = written(op, "running_mean", running_mean, x);
  Vector rv = written(op, "running_var", running_var, x);
  Operand image = as_image(op, "x", x);
  if (x.device != kCpu) {
    check_batch(image);
    NormOnGpu norm(op, x, x.shape[1], Batch::joined);
    norm.problem.of_channels = {w.data, b.data, nullptr, nullptr};
    norm.problem.running = {rm.data, rv.data, momentum};
    norm.problem.eps = eps;
    return norm.train(x_array, out, false);
  }
  Result y = result_of(op, out, x);
  Result mean = result(op, py::none(), x.dtype, x.shape + 1, 1);
  Result invstd = result(op, py::none(), x.dtype, x.shape + 1, 1);
  {
    ReleaseGil release(0.3 * double(x.size()));
    batch_norm_train(image, {w.data, b.data, mean.operand.data, invstd.operand.data},
                     {rm.data, rv.data, momentum}, eps, as_image(op, "out", y.operand));
  }
  return py::make_tuple(std::move(y.object), std::move(mean.object), std::move(invstd.object));
}

py::object batch_norm_infer_binding(py::handle x_array, py::handle mean, py::handle invstd,
                                    py::handle weight, py::handle bias, py::handle out) {
  const char* op = "batch_norm";
  Operand x = read_input(op, x_array, "x");
  Vector w(op, "weight", weight, x), b(op, "bias", bias, x);
  Vector m(op, "mean", mean, x), s(op, "invstd", invstd, x);
  if (!m.data || !s.data) fail(op, "mean", "a vector and an invstd", "None");
  if (x.device != kCpu) {
    NormOnGpu norm(op, x, x.shape[1], Batch::joined);
    norm.problem.of_channels = {w.data, b.data, m.data, s.data};
    return norm.infer(x_array, out);
  }
  Result y = result_of(op, out, x);
  ReleaseGil release(0.2 * double(x.size()));
  batch_norm_infer(as_image(op, "x", x), {w.data, b.data, m.data, s.data},
                   as_image(op, "out", y.operand));
  return std::move(y.object);
}

py::tuple batch_norm_backward_binding(py::handle dy_array, py::handle x_array, py::handle mean,
                                      py::handle invstd, py::handle weight,
                                      const std::string& statistics, py::handle out) {
  const char* op = "batch_norm_backward";
  Operand x = read_input(op, x_array, "x"), dy = read(dy_array, op, "dy", Places::any);
  same_dtype(op, "dy", x, dy), same_place(op, "x", x, "dy", dy);
  expect_shape(op, "dy", dy, x.shape, x.rank);
  Vector w(op, "weight", weight, x), m(op, "mean", mean, x), s(op, "invstd", invstd, x);
  if (!m.data || !s.data) fail(op, "mean", "a vector and an invstd", "None");
  if (statistics != "batch" && statistics != "given")
    fail(op, "statistics", "\"batch\" or \"given\"", statistics);
  if (x.device != kCpu) {
    NormOnGpu norm(op, x, x.shape[1], Batch::joined);
    norm.problem.of_channels = {w.data, nullptr, m.data, s.data};
    norm.problem.statistics = statistics == "batch" ? Statistics::batch : Statistics::given;
    return norm.backward(dy_array, x_array, out);
  }
  Result dx = result_of(op, out, x);
  Result dw = result(op, py::none(), x.dtype, x.shape + 1, 1);
  Result db = result(op, py::none(), x.dtype, x.shape + 1, 1);
  {
    ReleaseGil release(0.5 * double(x.size()));
    batch_norm_backward(as_image(op, "dy", dy), as_image(op, "x", x),
                        {w.data, nullptr, m.data, s.data},
                        statistics == "batch" ? Statistics::batch : Statistics::given,
                        as_image(op, "out", dx.operand), dw.operand.data, db.operand.data);
  }
  return py::make_tuple(std::move(dx.object), std::move(dw.object), std::move(db.object));
}

py::tuple group_norm_binding(py::handle x_array, ptrdiff_t groups, double eps, py::handle weight,
                             py::handle bias, py::handle out) {
  const char* op = "group_norm";
  Operand x = read_input(op, x_array, "x");
  check_groups(op, groups, x);
  Vector w(op, "weight", weight, x), b(op, "bias", bias, x);
  if (x.device != kCpu) {
    NormOnGpu norm(op, x, groups, Batch::apart);
    norm.problem.of_channels = {w.data, b.data, nullptr, nullptr};
    norm.problem.eps = eps;
    return norm.train(x_array, out, true);
  }
  Result y = result_of(op, out, x);
  const ptrdiff_t shape[] = {x.shape[0], groups};
  Result mean = result(op, py::none(), x.dtype, shape, 2);
  Result var = result(op, py::none(), x.dtype, shape, 2);
  Result invstd = result(op, py::none(), x.dtype, shape, 2);
  {
    ReleaseGil release(0.3 * double(x.size()));
    group_norm(as_image(op, "x", x), groups,
               {w.data, b.data, mean.operand.data, invstd.operand.data}, eps, var.operand.data,
               as_image(op, "out", y.operand));
  }
  return py::make_tuple(std::move(y.object), std::move(mean.object), std::move(var.object),
                        std::move(invstd.object));
}

py::tuple group_norm_backward_binding(py::handle dy_array, py::handle x_array, py::handle mean,
                                      py::handle invstd, py::handle weight, py::handle out) {
  const char* op = "group_norm_backward";
  Operand x = read_input(op, x_array, "x"), dy = read(dy_array, op, "dy", Places::any);
  same_dtype(op, "dy", x, dy), same_place(op, "x", x, "dy", dy);
  expect_shape(op, "dy", dy, x.shape, x.rank);
  Operand m = read(mean, op, "mean", Places::any), s = read(invstd, op, "invstd", Places::any);
  same_dtype(op, "mean", x, m), same_dtype(op, "invstd", x, s);
  same_place(op, "x", x, "mean", m), same_place(op, "x", x, "invstd", s);
  if (m.rank != 2) fail(op, "mean", "(N, groups)", "shape " + m.text());
  check_groups(op, m.shape[1], x);
  const ptrdiff_t shape[] = {x.shape[0], m.shape[1]};
  expect_shape(op, "mean", m, shape, 2), expect_shape(op, "invstd", s, shape, 2);
  if (!is_c_order(m) || !is_c_order(s)) fail(op, "mean", "arrays in C order", "a strided one");
  Vector w(op, "weight", weight, x);
  if (x.device != kCpu) {
    NormOnGpu norm(op, x, m.shape[1], Batch::apart);
    norm.problem.of_channels = {w.data, nullptr, m.data, s.data};
    return norm.backward(dy_array, x_array, out);
  }
  Result dx = result_of(op, out, x);
  Result dw = result(op, py::none(), x.dtype, x.shape + 1, 1);
  Result db = result(op, py::none(), x.dtype, x.shape + 1, 1);
  {
    ReleaseGil release(0.5 * double(x.size()));
    group_norm_backward(as_image(op, "dy", dy), as_image(op, "x", x), m.shape[1],
                        {w.data, nullptr, m.data, s.data}, as_image(op, "out", dx.operand),
                        dw.operand.data, db.operand.data);
  }
  return py::make_tuple(std::move(dx.object), std::move(dw.object), std::move(db.object));
}

Lrn read_lrn(const char* op, ptrdiff_t size, double alpha, double beta, double k) {
  if (size < 1) fail(op, "size", "1 or more", std::to_string(size));
  return {size, alpha, beta, k};
}

py::object lrn_binding(py::handle x_array, ptrdiff_t size, double alpha, double beta, double k,
                       py::handle out) {
  const char* op = "local_response_norm";
  Operand x = read_input(op, x_array, "x");
  Lrn lrn = read_lrn(op, size, alpha, beta, k);
  if (x.device != kCpu) return lrn_on_gpu(op, x_array, py::handle(), lrn, out);
  Result y = result_of(op, out, x);
  ReleaseGil release(0.5 * double(x.size()));
  local_response_norm(as_image(op, "x", x), lrn, as_image(op, "out", y.operand));
  return std::move(y.object);
}

py::object lrn_backward_binding(py::handle dy_array, py::handle x_array, ptrdiff_t size,
                                double alpha, double beta, double k, py::handle out) {
  const char* op = "local_response_norm_backward";
  Operand x = read_input(op, x_array, "x"), dy = read(dy_array, op, "dy", Places::any);
  same_dtype(op, "dy", x, dy), same_place(op, "x", x, "dy", dy);
  expect_shape(op, "dy", dy, x.shape, x.rank);
  Lrn lrn = read_lrn(op, size, alpha, beta, k);
  if (x.device != kCpu) return lrn_on_gpu(op, x_array, dy_array, lrn, out);
  Result dx = result_of(op, out, x);
  ReleaseGil release(0.8 * double(x.size()));
  local_response_norm_backward(as_image(op, "dy", dy), as_image(op, "x", x), lrn,
                               as_image(op, "out", dx.operand));
  return std::move(dx.object);
}

}  // namespace

void bind_norm(py::module_& m) {
  auto none = py::none();
  m.def("batch_norm_train", &batch_norm_train_binding, py::arg("x"), py::arg("weight") = none,
        py::arg("bias") = none, py::arg("running_mean") = none, py::arg("running_var") = none,
        py::arg("momentum") = 0.1, py::arg("eps") = 1e-5, py::arg("out") = none,
        "(y, mean, invstd) by the batch's statistics; the running ones are updated in place.");
  m.def("batch_norm_infer", &batch_norm_infer_binding, py::arg("x"), py::arg("mean"),
        py::arg("invstd"), py::arg("weight") = none, py::arg("bias") = none, py::arg("out") = none,
        "(x - mean) * invstd * weight + bias, per channel.");
  m.def("batch_norm_backward", &batch_norm_backward_binding, py::arg("dy"), py::arg("x"),
        py::arg("mean"), py::arg("invstd"), py::arg("weight") = none,
        py::arg("statistics") = "batch", py::arg("out") = none,
        "(dx, dweight, dbias); statistics says whether mean and invstd are the batch's or given.");
  m.def(
      "group_norm", &group_norm_binding, py::arg("x"), py::arg("groups"), py::arg("eps"),
      py::arg("weight") = none, py::arg("bias") = none, py::arg("out") = none,
      "(y, mean, var, invstd) by the statistics of each image's groups of channels, (N, groups).");
  m.def("group_norm_backward", &group_norm_backward_binding, py::arg("dy"), py::arg("x"),
        py::arg("mean"), py::arg("invstd"), py::arg("weight") = none, py::arg("out") = none,
        "(dx, dweight, dbias) of group_norm.");
  m.def("local_response_norm", &lrn_binding, py::arg("x"), py::arg("size"), py::arg("alpha") = 1e-4,
        py::arg("beta") = 0.75, py::arg("k") = 1.0, py::arg("out") = none,
        "x / (k + alpha / size * sum of squares over `size` channels) ^ beta.");
  m.def("local_response_norm_backward", &lrn_backward_binding, py::arg("dy"), py::arg("x"),
        py::arg("size"), py::arg("alpha") = 1e-4, py::arg("beta") = 0.75, py::arg("k") = 1.0,
        py::arg("out") = none, "dx of local_response_norm.");
}

}  // namespace striate
