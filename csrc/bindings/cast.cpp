// SPDX-License-Identifier: Apache-2.0
#include "ops/cast/cast.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

py::object cast_to(const char* op, py::handle array, Dtype from, Dtype to, py::handle out) {
  Operand x = read_with_bf16(array, op, "x", Places::any);
  if (x.dtype != from)
    throw TypeMismatch(std::string(op) + ": x: expected " + dtype_name(from) + ", got " +
                       dtype_name(x.dtype));
  const bool on_gpu = x.device != kCpu;
  py::object held;
  if (on_gpu && !is_dense(x)) {
    held = c_contiguous(array, op, "x");
    x = read_with_bf16(held, op, "x", Places::any);
  }
  Result r = is_dense(x) ? result(op, out, to, x.shape, x.rank, x.stride, x.device)
                         : result(op, out, to, x.shape, x.rank);
  if (on_gpu) {
    if (!same_strides(x, r.operand)) fail(op, "out", "the memory order of x on a GPU", "another");
    on_stream(x.device, [&](const cuda::Stream& s) { cast_launch(s, x, r.operand); });
  } else {
    ReleaseGil release(0.3 * double(x.size()));
    cast(x, r.operand);
  }
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
