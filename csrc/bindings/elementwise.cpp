// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise/elementwise.h"

#include <algorithm>

#include "bindings/device_array.h"

namespace striate {
namespace {

// A result takes the memory order of the operand that has its shape.
Result binary_result(const char* op, py::handle out, const Operand& a, const Operand& b) {
  ptrdiff_t shape[kMaxRank];
  int rank = broadcast_shape(op, a, b, shape);
  const int device = std::max(a.device, b.device);
  auto fits = [&](const Operand& x) {
    if (x.rank != rank) return false;
    for (int i = 0; i < rank; ++i)
      if (x.shape[i] != shape[i]) return false;
    return is_dense(x);
  };
  if (fits(a)) return result(op, out, a.dtype, shape, rank, a.stride, device);
  if (fits(b)) return result(op, out, a.dtype, shape, rank, b.stride, device);
  return result(op, out, a.dtype, shape, rank, device);
}

// Beside an operand on a GPU, one without axes may be the CPU's: its number goes along.
void check_places(const char* op, const Operand& a, const Operand& b) {
  if ((a.device == kCpu && a.rank == 0) || (b.device == kCpu && b.rank == 0)) return;
  same_place(op, "a", a, "b", b);
}

template <Binary kOp>
py::object call(const char* name, py::handle a, py::handle b, py::handle out) {
  double scalar;
  Operand x, y;
  if (is_scalar(a)) {
    y = read(b, name, "b", Places::any);
    x = read_or_scalar(a, y.dtype, &scalar, name, "a", Places::any);
  } else {
    x = read(a, name, "a", Places::any);
    y = read_or_scalar(b, x.dtype, &scalar, name, "b", Places::any);
  }
  same_dtype(name, "b", x, y);
  if (x.device != y.device) check_places(name, x, y);
  Result r = binary_result(name, out, x, y);
  if (r.operand.device != kCpu) {
    on_stream(r.operand.device,
              [&](const cuda::Stream& stream) { binary_launch(stream, kOp, x, y, r.operand); });
    return std::move(r.object);
  }
  ReleaseGil release(0.3 * double(r.operand.size()));
  binary(kOp, x, y, r.operand);
  return std::move(r.object);
}

template <Binary kOp>
void def(py::module_& m, const char* name, const char* doc) {
  m.def(
      name,
      [name](py::handle a, py::handle b, py::handle out) { return call<kOp>(name, a, b, out); },
      py::arg("a"), py::arg("b"), py::arg("out") = py::none(), doc);
}

}  // namespace

void bind_elementwise(py::module_& m) {
  def<Binary::add>(m, "add", "a + b, broadcast. Either may be a Python number.");
  def<Binary::sub>(m, "sub", "a - b, broadcast. Either may be a Python number.");
  def<Binary::mul>(m, "mul", "a * b, broadcast. Either may be a Python number.");
  def<Binary::div>(m, "div", "a / b, broadcast. Either may be a Python number.");
  def<Binary::maximum>(m, "maximum", "The larger of a and b, NaN where either is.");
  def<Binary::minimum>(m, "minimum", "The smaller of a and b, NaN where either is.");
}

}  // namespace striate
