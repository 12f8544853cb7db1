// SPDX-License-Identifier: Apache-2.0
#include "ops/layer_norm/layer_norm.h"

#include "bindings/dense.h"
#include "bindings/device_array.h"

namespace striate {
namespace {

// x read as a matrix whose rows are its last `axes` axes.
struct Problem {
  const char* op;
  Operand x;
  int axes;
  LayerNormProblem problem{};
  py::object weight_held, bias_held;

  Problem(const char* name, py::handle x_array, int count, Places places = Places::cpu)
      : op(name), x(read(x_array, op, "x", places)) {
    axes = count;
    check_axes(op, x, axes);
    problem = rows_of_axes(x, axes);
  }
  int lead() const { return x.rank - axes; }
  const ptrdiff_t* tail() const { return x.shape + lead(); }

  // A vector over the normalised axes; null for None.
  const void* vector(const char* argument, py::handle array, py::object* held) const {
    if (array.is_none()) return nullptr;
    *held = c_contiguous(array, op, argument);
    Operand v = read(*held, op, argument, Places::any);
    same_dtype(op, argument, x, v);
    same_place(op, "x", x, argument, v);
    expect_shape(op, argument, v, tail(), axes);
    return v.data;
  }
  void* of_rows(const char* argument, py::handle array, py::object* held) const {
    *held = c_contiguous(array, op, argument);
    Operand v = read(*held, op, argument, Places::any);
    same_dtype(op, argument, x, v);
    same_place(op, "x", x, argument, v);
    expect_shape(op, argument, v, x.shape, lead());
    return v.data;
  }
};

py::tuple forward_on_device(Problem& p, py::handle x_array, double eps, bool centred,
                            py::handle out) {
  DenseOnDevice held;
  const Operand x = held.of(x_array, p.op, "x");
  Result y = result(p.op, py::none(), x.dtype, x.shape, x.rank, x.device);
  Result invstd = result(p.op, py::none(), x.dtype, x.shape, p.lead(), x.device), mean;
  if (centred) mean = result(p.op, py::none(), x.dtype, x.shape, p.lead(), x.device);
  p.problem.x = x.data, p.problem.invstd = invstd.operand.data;
  p.problem.mean = centred ? mean.operand.data : nullptr;
  on_stream(x.device,
            [&](const cuda::Stream& s) { layer_norm_launch(s, p.problem, eps, y.operand.data); });
  py::object made = into(p.op, out, std::move(y));
  if (!centred) return py::make_tuple(std::move(made), std::move(invstd.object));
  return py::make_tuple(std::move(made), std::move(mean.object), std::move(invstd.object));
}

py::tuple forward(const char* op, py::handle x_array, int axes, double eps, py::handle weight,
                  py::handle bias, bool centred, py::handle out) {
  Problem p(op, x_array, axes, Places::any);
  p.problem.weight = p.vector("weight", weight, &p.weight_held);
  p.problem.bias = p.vector("bias", bias, &p.bias_held);
  if (p.x.device != kCpu) return forward_on_device(p, x_array, eps, centred, out);
  DenseResult y(op, out, p.x.dtype, p.x.shape, p.x.rank);
  Result invstd = result(op, py::none(), p.x.dtype, p.x.shape, p.lead()), mean;
  if (centred) mean = result(op, py::none(), p.x.dtype, p.x.shape, p.lead());
  p.problem.invstd = invstd.operand.data, p.problem.mean = centred ? mean.operand.data : nullptr;
  {
    ReleaseGil release(0.3 * double(p.x.size()));
    DenseInput x(p.x);
    p.problem.x = x.data();
    layer_norm(p.problem, eps, y.operand().data);
  }
  py::object result = y.finish();
  if (!centred) return py::make_tuple(std::move(result), std::move(invstd.object));
  return py::make_tuple(std::move(result), std::move(mean.object), std::move(invstd.object));
}

// Weights' gradients are made by parts of the rows.
class Parts {
 public:
  Parts(const Problem& p, bool wanted) : p_(p) {
    if (!wanted) return;
    const ptrdiff_t shape[] = {layer_norm_parts(p.problem.rows), p.problem.n};
    made_ = result(p.op, py::none(), p.x.dtype, shape, 2, p.x.device);
  }
  void* data() const { return made_.object ? made_.operand.data : nullptr; }
  py::object sum() const {
    if (!made_.object) return py::none();
    py::tuple shape{size_t(p_.axes)};
    for (int i = 0; i < p_.axes; ++i) shape[size_t(i)] = p_.tail()[i];
    return sum_of_parts(made_.object).attr("reshape")(shape);
  }

 private:
  const Problem& p_;
  Result made_;
};

py::tuple backward_on_device(Problem& p, py::handle dy_array, py::handle x_array, bool biased,
                             py::handle out) {
  DenseOnDevice x_held, dy_held;
  const Operand x = x_held.of(x_array, p.op, "x"), dy = dy_held.of(dy_array, p.op, "dy");
  Result dx = result(p.op, py::none(), x.dtype, x.shape, x.rank, x.device);
  Parts dweight(p, p.problem.weight), dbias(p, biased);
  p.problem.x = x.data;
  on_stream(x.device, [&](const cuda::Stream& s) {
    layer_norm_backward_launch(s, p.problem, dy.data, dx.operand.data, dweight.data(),
                               dbias.data());
  });
  py::object made = into(p.op, out, std::move(dx));
  if (!p.problem.mean) return py::make_tuple(std::move(made), dweight.sum());
  return py::make_tuple(std::move(made), dweight.sum(), dbias.sum());
}

py::tuple backward(const char* op, py::handle dy_array, py::handle x_array, int axes,
                   py::handle mean, py::handle invstd, py::handle weight, bool biased,
                   py::handle out) {
  Problem p(op, x_array, axes, Places::any);
  Operand dy = read(dy_array, op, "dy", Places::any);
  same_dtype(op, "dy", p.x, dy);
  same_place(op, "x", p.x, "dy", dy);
  expect_shape(op, "dy", dy, p.x.shape, p.x.rank);
  py::object mean_held, invstd_held;
  p.problem.weight = p.vector("weight", weight, &p.weight_held);
  p.problem.invstd = p.of_rows("invstd", invstd, &invstd_held);
  p.problem.mean = mean ? p.of_rows("mean", mean, &mean_held) : nullptr;
  if (p.x.device != kCpu) return backward_on_device(p, dy_array, x_array, biased, out);
  DenseResult dx(op, out, p.x.dtype, p.x.shape, p.x.rank);
  Result dweight, dbias;
  if (p.problem.weight) dweight = result(op, py::none(), p.x.dtype, p.tail(), axes);
  if (biased) dbias = result(op, py::none(), p.x.dtype, p.tail(), axes);
  {
    ReleaseGil release(0.5 * double(p.x.size()));
    DenseInput x(p.x), grad(dy);
    p.problem.x = x.data();
    layer_norm_backward(p.problem, grad.data(), dx.operand().data,
                        p.problem.weight ? dweight.operand.data : nullptr,
                        biased ? dbias.operand.data : nullptr);
  }
  auto or_none = [](Result& r) { return r.object ? std::move(r.object) : py::object(py::none()); };
  py::object made = dx.finish();
  if (!mean) return py::make_tuple(std::move(made), or_none(dweight));
  return py::make_tuple(std::move(made), or_none(dweight), or_none(dbias));
}

}  // namespace

void bind_layer_norm(py::module_& m) {
  auto none = py::none();
  m.def(
      "layer_norm",
      [](py::handle x, int axes, double eps, py::handle weight, py::handle bias, py::handle out) {
        return forward("layer_norm", x, axes, eps, weight, bias, true, out);
      },
      py::arg("x"), py::arg("axes"), py::arg("eps"), py::arg("weight") = none,
      py::arg("bias") = none, py::arg("out") = none,
      "(y, mean, invstd): (x - mean) * invstd * weight + bias over the last `axes` axes.");
  m.def(
      "layer_norm_backward",
      [](py::handle dy, py::handle x, int axes, py::handle mean, py::handle invstd,
         py::handle weight, bool biased, py::handle out) {
        return backward("layer_norm_backward", dy, x, axes, mean, invstd, weight, biased, out);
      },
      py::arg("dy"), py::arg("x"), py::arg("axes"), py::arg("mean"), py::arg("invstd"),
      py::arg("weight") = none, py::arg("biased") = false, py::arg("out") = none,
      "(dx, dweight or None, dbias or None) of layer_norm.");
  m.def(
      "rms_norm",
      [](py::handle x, int axes, double eps, py::handle weight, py::handle out) {
        return forward("rms_norm", x, axes, eps, weight, py::none(), false, out);
      },
      py::arg("x"), py::arg("axes"), py::arg("eps"), py::arg("weight") = none,
      py::arg("out") = none,
      "(y, invstd): x * invstd * weight over the last `axes` axes, invstd = (mean x^2 + "
      "eps)^-1/2.");
  m.def(
      "rms_norm_backward",
      [](py::handle dy, py::handle x, int axes, py::handle invstd, py::handle weight,
         py::handle out) {
        return backward("rms_norm_backward", dy, x, axes, py::handle(), invstd, weight, false, out);
      },
      py::arg("dy"), py::arg("x"), py::arg("axes"), py::arg("invstd"), py::arg("weight") = none,
      py::arg("out") = none, "(dx, dweight or None) of rms_norm.");
}

}  // namespace striate
