// SPDX-License-Identifier: Apache-2.0
#include "ops/dropout/dropout.h"

#include <vector>

#include "bindings/device_array.h"

namespace striate {
namespace {

// Memory in another order than the two that there are kernels for is put in C order.
py::object dropout_on_device(py::handle x_array, Operand x, const DropoutOptions& options,
                             py::handle out) {
  DenseOnDevice held;
  if (!is_c_order(x) && !is_channels_last(x)) x = held.of(x_array, "dropout", "x");
  Result y = result_like("dropout", py::none(), x);
  on_stream(x.device, [&](const cuda::Stream& s) { dropout_launch(s, x, options, y.operand); });
  return into("dropout", out, std::move(y));
}

py::object dropout_binding(py::handle x_array, double p, uint64_t key, double scale, double kept,
                           double dropped, py::handle out) {
  const char* op = "dropout";
  Operand x = read(x_array, op, "x", Places::any);
  const DropoutOptions options{p, scale, kept, dropped, key};
  if (x.device != kCpu) return dropout_on_device(x_array, x, options, out);
  Result y = result_like(op, out, x);
  ReleaseGil release(0.4 * double(x.size()));
  dropout(x, options, y.operand);
  return std::move(y.object);
}

py::object philox_binding(uint64_t key, uint64_t block, uint64_t high, ptrdiff_t n) {
  if (n < 0) fail("philox", "n", "0 or more", std::to_string(n));
  int64_t* words;
  py::object array = make_indices(&n, 1, &words);
  std::vector<uint32_t> made(static_cast<size_t>(n));
  philox(key, block, high, n, made.data());
  for (ptrdiff_t i = 0; i < n; ++i) words[i] = made[size_t(i)];
  return array;
}

}  // namespace

void bind_dropout(py::module_& m) {
  m.def("dropout", &dropout_binding, py::arg("x"), py::arg("p"), py::arg("key"), py::arg("scale"),
        py::arg("kept") = 0.0, py::arg("dropped") = 0.0, py::arg("out") = py::none(),
        "x * scale + kept, or with probability p x * 0 + dropped, as Philox under `key` decides.");
  m.def("philox", &philox_binding, py::arg("key"), py::arg("block"), py::arg("high"), py::arg("n"),
        "n words of Philox4x32-10, of counters (block, high), (block + 1, high), …, as int64.");
}

}  // namespace striate
