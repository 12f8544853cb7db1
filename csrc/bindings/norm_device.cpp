// SPDX-License-Identifier: Apache-2.0
#include "bindings/norm_device.h"

#include <cmath>

namespace striate {
namespace {

// A result whose channels are its last axis, as one in which they are the second.
py::object channels_second(const char* op, py::handle out, Result made) {
  made.object = axis_from_end(made.object, 1);
  made.operand = read_on_device(made.object, op, "out");
  return into(op, out, std::move(made));
}

void fill(const Result& r, double value) { r.object.attr("fill")(value); }

}  // namespace

NormOnGpu::NormOnGpu(const char* op, const Operand& x, ptrdiff_t groups, Batch batch)
    : op_(op), device_(x.device), empty_(x.size() == 0) {
  ptrdiff_t pixels = 1;
  for (int i = 2; i < x.rank; ++i) pixels *= x.shape[i];
  const bool joined = batch == Batch::joined;
  problem.dtype = x.dtype, problem.channels = x.shape[1], problem.groups = groups;
  problem.images = joined ? 1 : x.shape[0];
  problem.rows = joined ? x.shape[0] * pixels : pixels;
  if (!empty_) check_norm_size(op, problem);
}

Result NormOnGpu::of_channels() const {
  return result(op_, py::none(), problem.dtype, &problem.channels, 1, device_);
}

Result NormOnGpu::of_groups() const {
  const ptrdiff_t shape[] = {problem.images, problem.groups};
  return result(op_, py::none(), problem.dtype, shape, 2, device_);
}

Result NormOnGpu::of_parts() const {
  const ptrdiff_t shape[] = {problem.images, norm_parts(problem.rows), problem.channels};
  return result(op_, py::none(), problem.dtype, shape, 3, device_);
}

py::object NormOnGpu::run(NormPass pass, py::handle x_array, py::handle dy_array, py::handle out) {
  DenseOnDevice x_held, dy_held;
  const Operand x = x_held.of(axis_to_end(x_array, 1), op_, "x");
  Result y = result(op_, py::none(), x.dtype, x.shape, x.rank, device_);
  if (!empty_) {
    problem.x = x.data, problem.y = y.operand.data;
    if (dy_array) problem.dy = dy_held.of(axis_to_end(dy_array, 1), op_, "dy").data;
    Result part_a, part_b;
    if (pass != NormPass::infer) {
      part_a = of_parts(), part_b = of_parts();
      problem.part_a = part_a.operand.data, problem.part_b = part_b.operand.data;
    }
    on_stream(device_, [&](const cuda::Stream& s) { norm_launch(s, pass, problem); });
  }
  return channels_second(op_, out, std::move(y));
}

py::tuple NormOnGpu::train(py::handle x, py::handle out, bool with_var) {
  const bool joined = !with_var;
  Result mean = joined ? of_channels() : of_groups(), invstd = joined ? of_channels() : of_groups();
  Result var;
  if (with_var) var = of_groups(), problem.var = var.operand.data;
  problem.of_channels.mean = mean.operand.data, problem.of_channels.invstd = invstd.operand.data;
  if (empty_) {  // the statistics of nothing
    fill(mean, std::nan("")), fill(invstd, std::nan(""));
    if (with_var) fill(var, std::nan(""));
  }
  py::object y = run(NormPass::train, x, py::handle(), out);
  if (!with_var) return py::make_tuple(std::move(y), mean.object, invstd.object);
  return py::make_tuple(std::move(y), mean.object, var.object, invstd.object);
}

py::object NormOnGpu::infer(py::handle x, py::handle out) {
  return run(NormPass::infer, x, py::handle(), out);
}

py::tuple NormOnGpu::backward(py::handle dy, py::handle x, py::handle out) {
  const Result slope = of_groups(), shift = of_groups();
  const Result dweight = of_channels(), dbias = of_channels();
  problem.slope = slope.operand.data, problem.shift = shift.operand.data;
  problem.dweight = dweight.operand.data, problem.dbias = dbias.operand.data;
  if (empty_) fill(dweight, 0), fill(dbias, 0);
  py::object dx = run(NormPass::backward, x, dy, out);
  return py::make_tuple(std::move(dx), dweight.object, dbias.object);
}

py::object lrn_on_gpu(const char* op, py::handle x_array, py::handle dy_array, const Lrn& lrn,
                      py::handle out) {
  DenseOnDevice x_held, dy_held;
  const Operand x = x_held.of(axis_to_end(x_array, 1), op, "x");
  Result y = result(op, py::none(), x.dtype, x.shape, x.rank, x.device), scratch;
  Operand dy{};
  if (dy_array) {
    dy = dy_held.of(axis_to_end(dy_array, 1), op, "dy");
    scratch = result(op, py::none(), x.dtype, x.shape, x.rank, x.device);
  }
  on_stream(x.device, [&](const cuda::Stream& s) {
    lrn_launch(s, lrn, x, dy.data, dy.data ? scratch.operand.data : nullptr, y.operand.data);
  });
  return channels_second(op, out, std::move(y));
}

}  // namespace striate
