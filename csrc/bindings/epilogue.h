// SPDX-License-Identifier: Apache-2.0
// A bias and an activation by name, as the epilogue of a product.
#pragma once
#include "bindings/array.h"
#include "ops/gemm/problem.h"

namespace striate {

// The parameters of an activation: a number, or a pair of them.
inline Parameters<double> read_parameters(const char* op, py::handle parameter) {
  if (PyFloat_CheckExact(parameter.ptr())) return {PyFloat_AS_DOUBLE(parameter.ptr()), 0};
  try {
    if (!py::isinstance<py::tuple>(parameter)) return {parameter.cast<double>(), 0};
    auto [a, b] = parameter.cast<std::pair<double, double>>();
    return {a, b};
  } catch (const py::cast_error&) {
    throw TypeMismatch(std::string(op) +
                       ": parameter: expected a number or a pair of numbers, got " +
                       py::repr(parameter).cast<std::string>());
  }
}

// What the arguments `bias`, `activation` and `parameter` of a binding say, checked.
class EpilogueArguments {
 public:
  EpilogueArguments(const char* op, py::handle bias, py::handle activation, py::handle parameter,
                    const Operand& like)
      : op_(op), parameter_(read_parameters(op, parameter)) {
    if (!bias.is_none()) {
      bias_held_ = c_contiguous(bias, op, "bias");
      bias_ = read(bias_held_, op, "bias", Places::any);
      same_dtype(op, "bias", like, bias_);
      same_place(op, "a", like, "bias", bias_);
    }
    if (activation.is_none()) return;
    if (!py::isinstance<py::str>(activation))
      throw TypeMismatch(std::string(op) + ": activation: expected a name or None, got " +
                         Py_TYPE(activation.ptr())->tp_name);
    active_ = true;
    activation_ = activation_by_name(activation.cast<std::string>().c_str());
  }

  // For a result of `columns` columns.
  template <class T>
  Epilogue<T> of(ptrdiff_t columns) const {
    Epilogue<T> e;
    if (bias_held_) {
      expect_shape(op_, "bias", bias_, &columns, 1);
      e.bias = bias_.as<const T>();
      e.bias_axis = BiasAxis::column;
    }
    if (active_) set_activation(e, activation_, parameter_);
    return e;
  }

  // The activation that no clamp does, if there is one, on a result on a GPU.
  template <class R, class F>
  void rest(const Epilogue<R>& e, F&& f) const {
    if (e.activation) f(activation_, parameter_);
  }

 private:
  const char* op_;
  Parameters<double> parameter_;
  py::object bias_held_;
  Operand bias_{};
  bool active_ = false;
  Activation activation_ = Activation::relu;
};

}  // namespace striate
