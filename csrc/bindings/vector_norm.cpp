// SPDX-License-Identifier: Apache-2.0
#include "ops/vector_norm/vector_norm.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

// Parts of parts, until one is left; sums by the kernels of sums.
py::object on_device(NormSum what, Operand x, py::handle out) {
  const char* op = "vector_norm";
  Result made;
  if (x.size() == 0) {
    made = result(op, py::none(), x.dtype, nullptr, 0, x.device);
    made.object.attr("fill")(0);
    return into(op, out, std::move(made));
  }
  do {
    const ptrdiff_t parts = vector_norm_parts(x.size());
    Result next = parts > 1 ? result(op, py::none(), x.dtype, &parts, 1, x.device)
                            : result(op, py::none(), x.dtype, nullptr, 0, x.device);
    on_stream(x.device,
              [&](const cuda::Stream& s) { vector_norm_launch(s, what, x, next.operand); });
    made = std::move(next), x = made.operand;
    if (parts > 1 && what != NormSum::largest) {
      made.object = sum_of_parts(made.object);
      made.operand = x = read_on_device(made.object, op, "out");
    }
  } while (x.rank > 0);
  return into(op, out, std::move(made));
}

py::object vector_norm_binding(py::handle x_array, const char* what, py::handle out) {
  const char* op = "vector_norm";
  const NormSum sum = norm_sum_by_name(what);
  Operand x = read(x_array, op, "x", Places::any);
  py::object held;
  if (!is_dense(x)) held = c_contiguous(x_array, op, "x"), x = read(held, op, "x", Places::any);
  if (x.device != kCpu) return on_device(sum, x, out);
  Result to = result(op, out, x.dtype, x.shape, 0);
  ReleaseGil release(0.2 * double(x.size()));
  vector_norm(sum, x, to.operand);
  return std::move(to.object);
}

}  // namespace

void bind_vector_norm(py::module_& m) {
  m.def("vector_norm", &vector_norm_binding, py::arg("x"), py::arg("what"),
        py::arg("out") = py::none(),
        "Over all elements: the sum of their \"squares\", of their \"absolute\" values, or the "
        "\"largest\" of these.");
}

}  // namespace striate
