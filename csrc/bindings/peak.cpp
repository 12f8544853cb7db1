// SPDX-License-Identifier: Apache-2.0
#include "ops/peak/peak.h"

#include "bindings/array.h"

namespace striate {

void bind_peak(py::module_& m) {
  m.def(
      "peak_fma",
      [](py::handle like, ptrdiff_t rounds) {
        if (rounds < 1) fail("peak_fma", "rounds", "1 or more", std::to_string(rounds));
        Dtype dtype = read(like, "peak_fma", "like").dtype;
        ReleaseGil release(1e9);
        return peak_fma(dtype, rounds);
      },
      py::arg("like"), py::arg("rounds"),
      "Multiplies and adds in registers on every thread; returns the number of operations.");
}

}  // namespace striate
