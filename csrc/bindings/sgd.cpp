// SPDX-License-Identifier: Apache-2.0
#include "ops/sgd/sgd.h"

#include "bindings/array.h"

namespace striate {
namespace {

void sgd_binding(py::handle param, py::handle grad_array, py::handle buffer, double lr,
                 double momentum, double dampening, double weight_decay, bool nesterov,
                 bool maximize) {
  Operand p = read_out(param, "sgd"), grad = read(grad_array, "sgd", "grad"), b{};
  same_dtype("sgd", "grad", p, grad);
  const bool buffered = !buffer.is_none();
  if (buffered) {
    b = read_out(buffer, "sgd");
    same_dtype("sgd", "momentum_buffer", p, b);
  }
  SgdRule rule = !buffered ? SgdRule::plain : nesterov ? SgdRule::nesterov : SgdRule::momentum;
  SgdFactors factors{lr, momentum, 1 - dampening, weight_decay, maximize ? -1.0 : 1.0};
  ReleaseGil release(0.4 * double(p.size()));
  sgd(rule, p, grad, buffered ? &b : nullptr, factors);
}

}  // namespace

void bind_sgd(py::module_& m) {
  m.def("sgd", &sgd_binding, py::arg("param"), py::arg("grad"), py::arg("momentum_buffer"),
        py::arg("lr"), py::arg("momentum"), py::arg("dampening"), py::arg("weight_decay"),
        py::arg("nesterov"), py::arg("maximize"),
        "One step of stochastic gradient descent, written into param and momentum_buffer (None: "
        "without momentum).");
}

}  // namespace striate
