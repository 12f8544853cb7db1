// SPDX-License-Identifier: Apache-2.0
// Batch, group and local response norm of arrays on a GPU, for norm.cpp, which has checked them.
#pragma once
#include "bindings/device_array.h"
#include "ops/norm/norm_device.h"

namespace striate {

enum class Batch { joined, apart };  // statistics of all images, or of each

class NormOnGpu {
 public:
  // The sizes of x; what else there is, and memory that the caller has, goes into `problem`.
  NormOnGpu(const char* op, const Operand& x, ptrdiff_t groups, Batch batch);
  NormOnDevice problem{};

  // (y, mean, invstd), or (y, mean, var, invstd)
  py::tuple train(py::handle x, py::handle out, bool with_var);
  py::object infer(py::handle x, py::handle out);
  // (dx, dweight, dbias)
  py::tuple backward(py::handle dy, py::handle x, py::handle out);

 private:
  Result of_channels() const;
  Result of_groups() const;
  Result of_parts() const;
  py::object run(NormPass pass, py::handle x, py::handle dy, py::handle out);

  const char* op_;
  int device_;
  bool empty_;
};

// y, or dx where there is a dy.
py::object lrn_on_gpu(const char* op, py::handle x, py::handle dy, const Lrn& lrn, py::handle out);

}  // namespace striate
