// SPDX-License-Identifier: Apache-2.0
#include "ops/cast/cast.h"

#include "bindings/array.h"

namespace striate {
namespace {

py::object cast_to(const char* op, py::handle array, Dtype from, Dtype to, py::handle out) {
  const Operand x = read_with_bf16(array, op, "x");
  if (x.dtype != from)
    throw TypeMismatch(std::string(op) + ": x: expected " + dtype_name(from) + ", got " +
                       dtype_name(x.dtype));
  Result r = is_dense(x) ? result(op, out, to, x.shape, x.rank, x.stride)
                         : result(op, out, to, x.shape, x.rank);
  ReleaseGil release(0.3 * double(x.size()));
  cast(x, r.operand);
  return std::move(r.object);
}

}  // namespace

void bind_cast(py::module_& m) {
  m.def(
      "widen",
      [](py::handle x, py::handle out) {
        return cast_to("widen", x, Dtype::bf16, Dtype::f32, out);
      },
      py::arg("x"), py::arg("out") = py::none(), "bfloat16 as float32, which is exact.");
  m.def(
      "narrow",
      [](py::handle x, py::handle out) {
        return cast_to("narrow", x, Dtype::f32, Dtype::bf16, out);
      },
      py::arg("x"), py::arg("out") = py::none(),
      "float32 to the nearest bfloat16, ties to even; NaN stays NaN, denormals stay.");
}

}  // namespace striate
