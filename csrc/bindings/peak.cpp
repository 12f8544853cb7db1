// SPDX-License-Identifier: Apache-2.0
#include "ops/peak/peak.h"

#include "bindings/device_array.h"

namespace striate {

namespace {

void expect_rounds(const char* op, ptrdiff_t rounds) {
  if (rounds < 1) fail(op, "rounds", "1 or more", std::to_string(rounds));
}

void expect_dense(const char* op, const char* argument, const Operand& x) {
  if (!is_c_order(x)) fail(op, argument, "an array in C order", "another");
}

}  // namespace

void bind_peak(py::module_& m) {
  m.def(
      "peak_fma",
      [](py::handle like, ptrdiff_t rounds) {
        expect_rounds("peak_fma", rounds);
        const Operand x = read(like, "peak_fma", "like", Places::any);
        double done = 0;
        if (x.device != kCpu) {
          expect_dense("peak_fma", "like", x);
          on_stream(x.device, [&](const cuda::Stream& s) { done = peak_fma_launch(s, rounds, x); });
          return done;
        }
        ReleaseGil release(1e9);
        return peak_fma(x.dtype, rounds);
      },
      py::arg("like"), py::arg("rounds"),
      "Multiplies and adds in registers on every thread; returns the number of operations. On a "
      "GPU\n"
      "`like` has an element a thread, a multiple of 256 of them, and is overwritten.");
  m.def(
      "peak_mma",
      [](py::handle x_array, const std::string& unit, ptrdiff_t rounds, py::handle out_array) {
        expect_rounds("peak_mma", rounds);
        const Operand x = read(x_array, "peak_mma", "x", Places::any);
        const Operand out = read_out(out_array, "peak_mma", "out", Places::any);
        for (const auto& [name, operand] : {std::pair{"x", x}, std::pair{"out", out}}) {
          if (operand.device == kCpu) fail("peak_mma", name, "an array on a GPU", "one of the CPU");
          if (operand.dtype != Dtype::f32)
            fail("peak_mma", name, "float32", dtype_name(operand.dtype));
          expect_dense("peak_mma", name, operand);
        }
        same_place("peak_mma", "x", x, "out", out);
        double done = 0;
        on_stream(x.device,
                  [&](const cuda::Stream& s) { done = peak_mma_launch(s, unit, rounds, x, out); });
        return done;
      },
      py::arg("x"), py::arg("unit"), py::arg("rounds"), py::arg("out"),
      "The same on a GPU's tensor cores: x holds a [16, K] and b [K, 8], out [warps, 16, 8].");
}

}  // namespace striate
