// SPDX-License-Identifier: Apache-2.0
#include "ops/activation/activation.h"

#include "bindings/device_array.h"
#include "bindings/epilogue.h"

namespace striate {
namespace {

// Dense operands of one memory order are one run; others are made so first.
py::object forward_on_device(Activation f, py::handle x_array, Parameters<double> p,
                             py::handle out) {
  const char* name = activation_name(f);
  DenseOnDevice copy;
  Operand x = read(x_array, name, "x", Places::any);
  if (!is_dense(x)) x = copy.of(x_array, name, "x");
  Result y = result_like(name, py::none(), x);
  on_stream(x.device, [&](const cuda::Stream& s) { activation_launch(s, f, x, p, y.operand); });
  return into(name, out, std::move(y));
}

py::object backward_on_device(Activation f, const char* name, py::handle saved_array,
                              py::handle dy_array, Parameters<double> p, py::handle out) {
  DenseOnDevice saved_copy, dy_copy;
  Operand saved = read(saved_array, name, "saved", Places::any);
  Operand dy = read(dy_array, name, "dy", Places::any);
  if (!is_dense(saved) || !same_strides(saved, dy)) {
    saved = saved_copy.of(saved_array, name, "saved");
    dy = dy_copy.of(dy_array, name, "dy");
  }
  Result dx = result_like(name, py::none(), saved);
  on_stream(saved.device, [&](const cuda::Stream& s) {
    activation_backward_launch(s, f, saved, dy, p, dx.operand);
  });
  return into(name, out, std::move(dx));
}

py::object forward(Activation f, py::handle x_array, py::handle parameter, py::handle out) {
  Operand x = read(x_array, activation_name(f), "x", Places::any);
  const Parameters<double> p = read_parameters(activation_name(f), parameter);
  if (x.device != kCpu) return forward_on_device(f, x_array, p, out);
  Result y = result_like(activation_name(f), out, x);
  ReleaseGil release(0.5 * double(x.size()));
  activation(f, x, p, y.operand);
  return std::move(y.object);
}

py::object backward(Activation f, py::handle saved_array, py::handle dy_array, py::handle parameter,
                    py::handle out) {
  const std::string name = std::string(activation_name(f)) + "_backward";
  Operand saved = read(saved_array, name.c_str(), "saved", Places::any);
  Operand dy = read(dy_array, name.c_str(), "dy", Places::any);
  same_place(name.c_str(), "saved", saved, "dy", dy);
  same_dtype(name.c_str(), "dy", saved, dy);
  expect_shape(name.c_str(), "dy", dy, saved.shape, saved.rank);
  const Parameters<double> p = read_parameters(name.c_str(), parameter);
  if (saved.device != kCpu)
    return backward_on_device(f, name.c_str(), saved_array, dy_array, p, out);
  Result dx = result_like(name.c_str(), out, saved);
  ReleaseGil release(0.5 * double(saved.size()));
  activation_backward(f, saved, dy, p, dx.operand);
  return std::move(dx.object);
}

// name(x, parameter) and name_backward(saved, dy, parameter). The parameter is a number, or a
// pair of them; activations without one ignore it.
void def_activation(py::module_& m, Activation f, py::object parameter, const char* doc) {
  m.def(
      activation_name(f),
      [f](py::handle x, py::handle p, py::handle out) { return forward(f, x, p, out); },
      py::arg("x"), py::arg("parameter") = parameter, py::arg("out") = py::none(), doc);
  m.def((std::string(activation_name(f)) + "_backward").c_str(),
        [f](py::handle saved, py::handle dy, py::handle p, py::handle out) {
          return backward(f, saved, dy, p, out);
        },
        py::arg("saved"), py::arg("dy"), py::arg("parameter") = parameter,
        py::arg("out") = py::none(), "Its gradient, from what it saved (activation.inl).");
}

}  // namespace

void bind_activation(py::module_& m) {
  const py::object none = py::float_(0.0), one = py::float_(1.0), half = py::float_(0.5);
  const py::object slope = py::float_(0.01), unit = py::make_tuple(-1.0, 1.0);
  def_activation(m, Activation::relu, none, "max(x, 0)");
  def_activation(m, Activation::leaky_relu, slope, "x, or parameter * x where x <= 0");
  def_activation(m, Activation::hardtanh, unit, "min(max(x, a), b), (a, b) the parameter");
  def_activation(m, Activation::hardsigmoid, none, "min(max(x + 3, 0), 6) / 6");
  def_activation(m, Activation::hardswish, none, "x hardsigmoid(x)");
  def_activation(m, Activation::hardshrink, half, "x, or 0 where |x| <= parameter");
  def_activation(m, Activation::softshrink, half, "x moved towards 0 by parameter");
  def_activation(m, Activation::threshold, py::make_tuple(0.0, 0.0),
                 "x, or b where x <= a, (a, b) the parameter");
  def_activation(m, Activation::step, one,
                 "1 where x > 0, else 0; gradient dy if |x| <= parameter");
  def_activation(m, Activation::elu, one, "x, or parameter * (e^x - 1) where x <= 0");
  def_activation(m, Activation::erf, none, "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x");
  def_activation(m, Activation::erfc, none, "1 - erf(x)");
  def_activation(m, Activation::exp, none, "e^x");
  def_activation(m, Activation::log, none, "log(x)");
  def_activation(m, Activation::log1p, none, "log(1 + x)");
  def_activation(m, Activation::log2, none, "log(x) / log(2)");
  def_activation(m, Activation::log10, none, "log(x) / log(10)");
  def_activation(m, Activation::sigmoid, none, "1 / (1 + e^-x)");
  def_activation(m, Activation::tanh, none, "tanh(x)");
  def_activation(m, Activation::softplus, one, "log(1 + e^(parameter * x)) / parameter");
  def_activation(m, Activation::gelu, none, "x Phi(x), Phi the normal distribution's");
  def_activation(m, Activation::gelu_tanh, none, "gelu by its tanh approximation");
  def_activation(m, Activation::silu, none, "x sigmoid(x)");
  def_activation(m, Activation::selu, none, "elu scaled so that mean 0 and variance 1 stay");
  def_activation(m, Activation::celu, one, "x, or p (e^(x / p) - 1) where x <= 0, p the parameter");
  def_activation(m, Activation::mish, none, "x tanh(log(1 + e^x))");
  def_activation(m, Activation::logsigmoid, none, "log(1 / (1 + e^-x))");
  def_activation(m, Activation::softsign, none, "x / (1 + |x|)");
  def_activation(m, Activation::tanhshrink, none, "x - tanh(x)");
}

}  // namespace striate
