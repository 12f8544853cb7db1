// SPDX-License-Identifier: Apache-2.0
#include "ops/activation/activation.h"

#include "bindings/array.h"

namespace striate {
namespace {

py::object forward(Activation f, py::handle x_array, double parameter, py::handle out) {
  Operand x = read(x_array, activation_name(f), "x");
  Result y = result_like(activation_name(f), out, x);
  ReleaseGil release(0.5 * double(x.size()));
  activation(f, x, parameter, y.operand);
  return std::move(y.object);
}

py::object backward(Activation f, py::handle saved_array, py::handle dy_array, double parameter,
                    py::handle out) {
  const std::string name = std::string(activation_name(f)) + "_backward";
  Operand saved = read(saved_array, name.c_str(), "saved"), dy = read(dy_array, name.c_str(), "dy");
  same_dtype(name.c_str(), "dy", saved, dy);
  expect_shape(name.c_str(), "dy", dy, saved.shape, saved.rank);
  Result dx = result_like(name.c_str(), out, saved);
  ReleaseGil release(0.5 * double(saved.size()));
  activation_backward(f, saved, dy, parameter, dx.operand);
  return std::move(dx.object);
}

// name(x, parameter) and name_backward(saved, dy, parameter). Activations without a parameter
// ignore it.
void def_activation(py::module_& m, Activation f, double parameter, const char* doc) {
  m.def(
      activation_name(f),
      [f](py::handle x, double p, py::handle out) { return forward(f, x, p, out); }, py::arg("x"),
      py::arg("parameter") = parameter, py::arg("out") = py::none(), doc);
  m.def((std::string(activation_name(f)) + "_backward").c_str(),
        [f](py::handle saved, py::handle dy, double p, py::handle out) {
          return backward(f, saved, dy, p, out);
        },
        py::arg("saved"), py::arg("dy"), py::arg("parameter") = parameter,
        py::arg("out") = py::none(), "Its gradient, from what it saved (activation.inl).");
}

}  // namespace

void bind_activation(py::module_& m) {
  def_activation(m, Activation::relu, 0, "max(x, 0)");
  def_activation(m, Activation::leaky_relu, 0.01, "x, or parameter * x where x <= 0");
  def_activation(m, Activation::elu, 1, "x, or parameter * (e^x - 1) where x <= 0");
  def_activation(m, Activation::erf, 0, "2 / sqrt(pi) times the integral of e^-t^2 from 0 to x");
  def_activation(m, Activation::erfc, 0, "1 - erf(x)");
  def_activation(m, Activation::exp, 0, "e^x");
  def_activation(m, Activation::log, 0, "log(x)");
  def_activation(m, Activation::log1p, 0, "log(1 + x)");
  def_activation(m, Activation::log2, 0, "log(x) / log(2)");
  def_activation(m, Activation::log10, 0, "log(x) / log(10)");
  def_activation(m, Activation::sigmoid, 0, "1 / (1 + e^-x)");
  def_activation(m, Activation::tanh, 0, "tanh(x)");
  def_activation(m, Activation::softplus, 1, "log(1 + e^(parameter * x)) / parameter");
  def_activation(m, Activation::gelu, 0, "x Phi(x), Phi the normal distribution's");
  def_activation(m, Activation::gelu_tanh, 0, "gelu by its tanh approximation");
  def_activation(m, Activation::silu, 0, "x sigmoid(x)");
}

}  // namespace striate
