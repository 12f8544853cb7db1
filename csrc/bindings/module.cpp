// SPDX-License-Identifier: Apache-2.0
// The extension module: one line a file of bindings, by name.
#include <pybind11/pybind11.h>

#include "core/check.h"

#define FILES        \
  FILE(activation)   \
  FILE(cast)         \
  FILE(conv2d)       \
  FILE(ctc)          \
  FILE(cuda)         \
  FILE(device_array) \
  FILE(dropout)      \
  FILE(elementwise)  \
  FILE(embedding)    \
  FILE(gemm)         \
  FILE(interpolate)  \
  FILE(layer_norm)   \
  FILE(layout)       \
  FILE(loss)         \
  FILE(lstm)         \
  FILE(norm)         \
  FILE(optimizer)    \
  FILE(peak)         \
  FILE(pool2d)       \
  FILE(prelu)        \
  FILE(reduce)       \
  FILE(runtime)      \
  FILE(softmax)      \
  FILE(vector_norm)

namespace striate {
#define FILE(name) void bind_##name(pybind11::module_& m);
FILES
#undef FILE
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
#define FILE(name) striate::bind_##name(m);
  FILES
#undef FILE
}
