// SPDX-License-Identifier: Apache-2.0
#include "ops/optimizer/optimizer.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

// Kernels of GPUs run through memory that is dense in one order. States are made so; a gradient of
// another order is copied.
void step_on_device(const char* name, Rule rule, const Operand& p, Operand grad,
                    py::handle grad_array, const Operand* states, int count, const StepFactors& f) {
  expect_shape(name, "grad", grad, p.shape, p.rank);
  if (!is_dense(p)) fail(name, "param", "one without gaps in memory on a GPU", "a strided view");
  for (int k = 0; k < count; ++k) {
    expect_shape(name, "states", states[k], p.shape, p.rank);
    if (!same_strides(p, states[k]))
      fail(name, "states", "the parameter's memory order on a GPU", "another");
  }
  Result copy;
  if (!same_strides(p, grad)) {
    copy = result(name, py::none(), p.dtype, p.shape, p.rank, p.stride, p.device);
    copy.object.attr("__setitem__")(py::ellipsis(), grad_array);
    grad = copy.operand;
  }
  on_stream(p.device, [&](const cuda::Stream& stream) {
    optimizer_step_launch(stream, rule, p, grad, states, f);
  });
}

void step_binding(const char* name, py::handle param, py::handle grad_array,
                  const py::tuple& state_arrays, double rate, double rate_grad, double first,
                  double first_in, double second, double second_in, double root, double eps,
                  double weight_decay, double keep, bool maximize) {
  const Rule rule = rule_by_name(name);
  Operand p = read_out(param, name, "param", Places::any);
  Operand grad = read(grad_array, name, "grad", Places::any);
  same_dtype(name, "grad", p, grad);
  same_place(name, "param", p, "grad", grad);
  const int count = rule_states(rule);
  if (int(state_arrays.size()) != count)
    fail(name, "states", std::to_string(count) + " arrays", std::to_string(state_arrays.size()));
  Operand states[kMostStates];
  for (int k = 0; k < count; ++k) {
    states[k] = read_out(state_arrays[size_t(k)], name, "states", Places::any);
    same_dtype(name, "states", p, states[k]);
    same_place(name, "param", p, "states", states[k]);
  }
  StepFactors f;
  f.sign = maximize ? -1 : 1;
  f.weight_decay = weight_decay, f.keep = keep;
  f.rate = rate, f.rate_grad = rate_grad;
  f.first = first, f.first_in = first_in;
  f.second = second, f.second_in = second_in;
  f.root = root, f.eps = eps;
  if (p.device != kCpu) return step_on_device(name, rule, p, grad, grad_array, states, count, f);
  ReleaseGil release(0.4 * double(p.size()));
  optimizer_step(rule, p, grad, states, f);
}

}  // namespace

void bind_optimizer(py::module_& m) {
  m.def("optimizer_step", &step_binding, py::arg("rule"), py::arg("param"), py::arg("grad"),
        py::arg("states"), py::arg("rate"), py::arg("rate_grad") = 0.0, py::arg("first") = 0.0,
        py::arg("first_in") = 0.0, py::arg("second") = 0.0, py::arg("second_in") = 0.0,
        py::arg("root") = 1.0, py::arg("eps") = 0.0, py::arg("weight_decay") = 0.0,
        py::arg("keep") = 1.0, py::arg("maximize") = false,
        "One step of a rule of csrc/ops/optimizer/names.inc, written into param and states.");
}

}  // namespace striate
