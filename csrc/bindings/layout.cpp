// SPDX-License-Identifier: Apache-2.0
#include "ops/layout/layout.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

Result copied(const Operand& x, Result r) {
  ReleaseGil release(0.2 * double(x.size()));
  copy(x, r.operand);
  return r;
}

py::object to_channels_last(py::handle x_array, py::handle out) {
  const char* op = "to_channels_last";
  Operand x = read(x_array, op, "x", Places::any);
  if (x.rank < 3 || x.rank > 5)
    fail(op, "x", "rank 3 to 5, such as (N, C, H, W)", "shape " + x.text());
  if (x.device != kCpu) {
    Result r = result_channels_last(op, out, x.dtype, x.shape, x.rank, x.device);
    r.object.attr("__setitem__")(py::ellipsis(), x_array);
    return std::move(r.object);
  }
  return copied(x, result_channels_last(op, out, x.dtype, x.shape, x.rank)).object;
}

py::object to_c_order(py::handle x_array, py::handle out) {
  const char* op = "to_c_order";
  Operand x = read(x_array, op, "x", Places::any);
  if (x.device != kCpu) {
    Result r = result(op, out, x.dtype, x.shape, x.rank, x.device);
    r.object.attr("__setitem__")(py::ellipsis(), x_array);
    return std::move(r.object);
  }
  return copied(x, result(op, out, x.dtype, x.shape, x.rank)).object;
}

// Widths as PyTorch gives them: (before, after) of the last axis, then of the one before it, …
void read_widths(const py::tuple& widths, const Operand& x, ptrdiff_t* before, ptrdiff_t* after) {
  const size_t count = widths.size();
  if (count % 2 != 0 || count > 2 * size_t(x.rank))
    fail("pad", "pad",
         "pairs (before, after), one an axis from the last, at most " + std::to_string(x.rank),
         std::to_string(count) + " numbers for shape " + x.text());
  for (int i = 0; i < x.rank; ++i) before[i] = after[i] = 0;
  for (size_t i = 0; i < count; ++i) {
    ptrdiff_t width = PyLong_AsSsize_t(widths[i].ptr());
    if (width == -1 && PyErr_Occurred()) throw py::error_already_set();
    ptrdiff_t* side = i % 2 ? after : before;
    side[x.rank - 1 - int(i / 2)] = width;
  }
}

py::object pad_binding(py::handle x_array, const py::tuple& widths, double value, py::handle out) {
  Operand x = read(x_array, "pad", "x", Places::any);
  ptrdiff_t before[kMaxRank], after[kMaxRank], shape[kMaxRank];
  read_widths(widths, x, before, after);
  padded_shape(x, before, after, shape);
  bool images = x.rank == 4 || x.rank == 5 || (is_channels_last(x) && !is_c_order(x));
  Result r = images ? result_channels_last("pad", out, x.dtype, shape, x.rank, x.device)
                    : result("pad", out, x.dtype, shape, x.rank, x.device);
  if (x.device != kCpu) {
    on_stream(x.device, [&](const cuda::Stream& s) { pad_launch(s, x, before, value, r.operand); });
    return std::move(r.object);
  }
  ReleaseGil release(0.2 * double(r.operand.size()));
  pad(x, before, after, value, r.operand);
  return std::move(r.object);
}

}  // namespace

void bind_layout(py::module_& m) {
  m.def("to_channels_last", &to_channels_last, py::arg("x"), py::arg("out") = py::none(),
        "x (N, C, ...), rank 3 to 5, of any strides, in channels-last memory.");
  m.def("to_c_order", &to_c_order, py::arg("x"), py::arg("out") = py::none(),
        "x of any strides, in C order.");
  m.def("pad", &pad_binding, py::arg("x"), py::arg("pad"), py::arg("value") = 0.0,
        py::arg("out") = py::none(),
        "x with `value` around it: pad holds (before, after) of the last axis, then of the one "
        "before it, …; negative widths crop.");
}

}  // namespace striate
