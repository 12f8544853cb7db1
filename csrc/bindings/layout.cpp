// SPDX-License-Identifier: Apache-2.0
#include "ops/layout/layout.h"

#include <algorithm>

#include "bindings/array.h"

namespace striate {
namespace {

Result copied(const Operand& x, Result r) {
  ReleaseGil release(0.2 * double(x.size()));
  copy(x, r.operand);
  return r;
}

py::object to_channels_last(py::handle x_array, py::handle out) {
  const char* op = "to_channels_last";
  Operand x = read(x_array, op, "x");
  if (x.rank < 3 || x.rank > 5)
    fail(op, "x", "rank 3 to 5, such as (N, C, H, W)", "shape " + x.text());
  return copied(x, result_channels_last(op, out, x.dtype, x.shape, x.rank)).object;
}

py::object to_c_order(py::handle x_array, py::handle out) {
  const char* op = "to_c_order";
  Operand x = read(x_array, op, "x");
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
  Operand x = read(x_array, "pad", "x");
  ptrdiff_t before[kMaxRank], after[kMaxRank], shape[kMaxRank];
  read_widths(widths, x, before, after);
  for (int i = 0; i < x.rank; ++i) {
    constexpr ptrdiff_t kMost = PTRDIFF_MAX / 2;  // so that the sum of two does not overflow
    ptrdiff_t cropped =
        -std::clamp<ptrdiff_t>(before[i], -kMost, 0) - std::clamp<ptrdiff_t>(after[i], -kMost, 0);
    if (cropped > x.shape[i])
      fail("pad", "pad",
           "at most " + std::to_string(x.shape[i]) + " elements cropped from axis " +
               std::to_string(i) + " of shape " + x.text(),
           std::to_string(cropped));
    if (__builtin_add_overflow(x.shape[i], before[i], &shape[i]) ||
        __builtin_add_overflow(shape[i], after[i], &shape[i]))
      fail("pad", "pad", "sizes within the address space", "larger ones");
  }
  bool images = x.rank == 4 || x.rank == 5 || (is_channels_last(x) && !is_c_order(x));
  Result r = images ? result_channels_last("pad", out, x.dtype, shape, x.rank)
                    : result("pad", out, x.dtype, shape, x.rank);
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
