// SPDX-License-Identifier: Apache-2.0
// `axes` tells for each axis behind (N, C), the last one last, how its outputs are made: ("nearest"
// or "nearest-exact" or "linear" or "cubic", size, scale or 0, align_corners), or ("reflect" or
// "replicate" or "circular", before, after).
#include "ops/interpolate/interpolate.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "bindings/device_array.h"

namespace striate {
namespace {

struct AxisSpec {
  bool padding;
  Interpolation interpolation;
  Padding edge;
  ptrdiff_t in, out, before, after;
  double scale;
  bool align_corners;

  ResampleAxis build() const {
    if (padding) return padding_axis(edge, in, before, after);
    return interpolation_axis(interpolation, in, out, scale, align_corners);
  }
};

void read_padding(const char* op, const py::tuple& values, AxisSpec& s) {
  s.before = values[1].cast<ptrdiff_t>(), s.after = values[2].cast<ptrdiff_t>();
  const ptrdiff_t cropped = std::min(s.in, std::max<ptrdiff_t>(-std::max(s.before, -s.in), 0) +
                                               std::max<ptrdiff_t>(-std::max(s.after, -s.in), 0));
  const ptrdiff_t most = s.edge == Padding::reflect    ? s.in - 1
                         : s.edge == Padding::circular ? s.in - cropped
                                                       : PTRDIFF_MAX;
  if (s.before > most || s.after > most)
    fail(op, "pad", "at most " + std::to_string(most) + " for an axis of " + std::to_string(s.in),
         shape_text({s.before, s.after}));
  if (__builtin_add_overflow(s.in, s.before, &s.out) ||
      __builtin_add_overflow(s.out, s.after, &s.out) || s.out < 1)
    fail(op, "pad", "widths that leave 1 or more of " + std::to_string(s.in) + " elements",
         shape_text({s.before, s.after}));
}

AxisSpec read_axis(const char* op, py::handle spec, ptrdiff_t in) {
  if (!py::isinstance<py::tuple>(spec) || py::len(spec) < 3)
    fail(op, "axes", "tuples that begin with a mode", py::repr(spec).cast<std::string>());
  const py::tuple values = py::reinterpret_borrow<py::tuple>(spec);
  const std::string mode = values[0].cast<std::string>();
  AxisSpec s{};
  s.in = in;
  if (in < 1) fail(op, "x", "axes of 1 or more behind (N, C)", std::to_string(in));
  static const std::pair<const char*, Padding> edges[] = {{"reflect", Padding::reflect},
                                                          {"replicate", Padding::replicate},
                                                          {"circular", Padding::circular}};
  for (auto& [name, edge] : edges)
    if (mode == name) {
      s.padding = true, s.edge = edge;
      read_padding(op, values, s);
      return s;
    }
  s.interpolation = interpolation_by_name(op, mode.c_str());
  s.out = values[1].cast<ptrdiff_t>(), s.scale = values[2].cast<double>();
  s.align_corners = values[3].cast<bool>();
  if (!(s.scale >= 0 && std::isfinite(s.scale)))
    fail(op, "scale", "0 or a positive number", std::to_string(s.scale));
  if (s.out < 1) fail(op, "size", "1 or more", std::to_string(s.out));
  return s;
}

using Specs = std::array<AxisSpec, 3>;

// The specs of depth, height and width, from the input's sizes behind (N, C).
Specs read_axes(const char* op, const py::tuple& axes, const ptrdiff_t* in, int count) {
  if (int(axes.size()) != count)
    fail(op, "axes", "one for each of the " + std::to_string(count) + " axes behind (N, C)",
         std::to_string(axes.size()));
  Specs specs;
  for (AxisSpec& s : specs) s = {true, {}, Padding::replicate, 1, 1, 0, 0, 0, false};
  for (int i = 0; i < count; ++i)
    specs[size_t(3 - count + i)] = read_axis(op, axes[size_t(i)], in[i]);
  return specs;
}

Operand read_image(py::handle array, const char* op, const char* argument) {
  Operand x = read(array, op, argument, Places::any);
  if (x.rank < 3 || x.rank > 5)
    fail(op, argument, "rank 3 to 5, such as (N, C, H, W)", "shape " + x.text());
  return x;
}

using Axes = std::array<ResampleAxis, 3>;

Axes built(const Specs& s) { return {s[0].build(), s[1].build(), s[2].build()}; }
Axes turned(const Specs& s) {
  return {transposed(s[0].build()), transposed(s[1].build()), transposed(s[2].build())};
}

py::object on_device(const char* op, py::handle x_array, const Axes& axes, Result y,
                     py::handle out) {
  DenseOnDevice held;
  Operand x = held.of(axis_to_end(x_array, 1), op, "x");
  const ptrdiff_t numbers = resample_space(axes.data());
  const py::object space = make_device_indices(&numbers, 1, x.device);
  int64_t* data = const_cast<int64_t*>(read_indices_on_device(space, op, "axes").data);
  on_stream(x.device,
            [&](const cuda::Stream& s) { resample_launch(s, x, axes.data(), data, y.operand); });
  return into(op, out, std::move(y));
}

py::object forward(py::handle x_array, const py::tuple& axes, py::handle out) {
  const char* op = "interpolate";
  Operand x = read_image(x_array, op, "x");
  Specs specs = read_axes(op, axes, x.shape + 2, x.rank - 2);
  ptrdiff_t shape[5] = {x.shape[0], x.shape[1]};
  for (int i = 2; i < x.rank; ++i) shape[i] = specs[size_t(i + 3 - x.rank)].out;
  checked_product(op, "size", shape, x.rank);
  const bool on_cpu = x.device == kCpu;
  Result y =
      result_channels_last(op, on_cpu ? out : py::handle(), x.dtype, shape, x.rank, x.device);
  if (y.operand.size() == 0) return into(op, on_cpu ? py::handle() : out, std::move(y));
  if (!on_cpu) return on_device(op, x_array, built(specs), std::move(y), out);
  ReleaseGil release(0.5 * double(y.operand.size()));
  resample(x, built(specs).data(), y.operand);
  return std::move(y.object);
}

// dx for an input of `size` behind (N, C).
py::object backward(py::handle dy_array, const py::tuple& size, const py::tuple& axes,
                    py::handle out) {
  const char* op = "interpolate_backward";
  Operand dy = read_image(dy_array, op, "dy");
  if (int(size.size()) != dy.rank - 2)
    fail(op, "size", std::to_string(dy.rank - 2) + " numbers", std::to_string(size.size()));
  ptrdiff_t in[5] = {dy.shape[0], dy.shape[1]}, made[5] = {dy.shape[0], dy.shape[1]};
  for (int i = 2; i < dy.rank; ++i) in[i] = size[size_t(i - 2)].cast<ptrdiff_t>();
  checked_product(op, "size", in, dy.rank);
  Specs specs = read_axes(op, axes, in + 2, dy.rank - 2);
  for (int i = 2; i < dy.rank; ++i) made[i] = specs[size_t(i + 3 - dy.rank)].out;
  expect_shape(op, "dy", dy, made, dy.rank);
  const bool on_cpu = dy.device == kCpu;
  Result dx =
      result_channels_last(op, on_cpu ? out : py::handle(), dy.dtype, in, dy.rank, dy.device);
  if (dx.operand.size() == 0) return into(op, on_cpu ? py::handle() : out, std::move(dx));
  if (!on_cpu) return on_device(op, dy_array, turned(specs), std::move(dx), out);
  ReleaseGil release(0.5 * double(dy.size()));
  resample(dy, turned(specs).data(), dx.operand);
  return std::move(dx.object);
}

}  // namespace

void bind_interpolate(py::module_& m) {
  m.def("interpolate", &forward, py::arg("x"), py::arg("axes"), py::arg("out") = py::none(),
        "x (N, C, ...) resampled along each axis behind (N, C).");
  m.def("interpolate_backward", &backward, py::arg("dy"), py::arg("size"), py::arg("axes"),
        py::arg("out") = py::none(), "dx for an input of `size` behind (N, C).");
}

}  // namespace striate
