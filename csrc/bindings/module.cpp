// SPDX-License-Identifier: Apache-2.0
// The extension module: one line an op family.
#include <pybind11/pybind11.h>

#include "core/check.h"

namespace striate {
void bind_runtime(pybind11::module_& m);
void bind_conv2d(pybind11::module_& m);
void bind_elementwise(pybind11::module_& m);
void bind_gemm(pybind11::module_& m);
void bind_peak(pybind11::module_& m);
void bind_reduce(pybind11::module_& m);
void bind_activation(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_sgd(pybind11::module_& m);
}  // namespace striate

PYBIND11_MODULE(_C, m) {
  m.doc() = "striate's kernels and their drivers.";
  pybind11::register_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const striate::TypeMismatch& e) {
      pybind11::set_error(PyExc_TypeError, e.what());
    }
  });
  striate::bind_runtime(m);
  striate::bind_conv2d(m);
  striate::bind_elementwise(m);
  striate::bind_gemm(m);
  striate::bind_peak(m);
  striate::bind_reduce(m);
  striate::bind_activation(m);
  striate::bind_loss(m);
  striate::bind_sgd(m);
}
