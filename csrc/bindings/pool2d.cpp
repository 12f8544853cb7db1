// SPDX-License-Identifier: Apache-2.0
// A `window` is (kernel h, w, stride h, w, padding h, w, dilation h, w, ceil_mode), or (P, Q): as
// many windows as cover the image (adaptive pooling).
#include "ops/pool2d/pool2d.h"

#include "bindings/device_array.h"

namespace striate {
namespace {

ptrdiff_t integer(py::handle value) {
  ptrdiff_t n = PyLong_AsSsize_t(value.ptr());
  if (n == -1 && PyErr_Occurred()) throw py::error_already_set();
  return n;
}

PoolShape read_window(const char* op, ptrdiff_t h, ptrdiff_t w, const py::tuple& window) {
  ptrdiff_t v[9] = {};
  if (window.size() != 2 && window.size() != 9)
    fail(op, "window", "2 or 9 numbers", std::to_string(window.size()));
  for (size_t i = 0; i < window.size(); ++i) v[i] = integer(window[i]);
  if (window.size() == 2) return {adaptive_pool_axis(op, h, v[0]), adaptive_pool_axis(op, w, v[1])};
  return {pool_axis(op, h, {v[0], v[2], v[4], v[6]}, v[8] != 0),
          pool_axis(op, w, {v[1], v[3], v[5], v[7]}, v[8] != 0)};
}

Operand read_image(py::handle array, const char* op, const char* argument,
                   Places places = Places::any) {
  Operand x = read(array, op, argument, places);
  if (x.rank != 4) fail(op, argument, "rank 4 (N, C, H, W)", "shape " + x.text());
  return x;
}

// A call's arguments, checked, and its result: `out`, or on a GPU what is copied to it at the end.
struct Call {
  const char* op;
  Operand x;
  PoolShape shape;
  Result y;
  py::handle out;
  ImagesOnDevice held;

  Call(const char* op, py::handle array, const Operand& given, PoolShape shape,
       const ptrdiff_t (&size)[4], py::handle out)
      : op(op), x(given), shape(std::move(shape)), out(out) {
    if (on_device()) x = held.of(array, op, "x");
    y = result_channels_last(op, on_device() ? py::none() : out, x.dtype, size, 4, x.device);
  }
  bool on_device() const { return x.device != kCpu; }
  py::object finish() { return on_device() ? into(op, out, std::move(y)) : std::move(y.object); }
};

Call forward(const char* op, py::handle x_array, const py::tuple& window, py::handle out) {
  Operand x = read_image(x_array, op, "x");
  PoolShape shape = read_window(op, x.shape[2], x.shape[3], window);
  const ptrdiff_t size[4] = {x.shape[0], x.shape[1], shape.h.out, shape.w.out};
  return Call(op, x_array, x, std::move(shape), size, out);
}

double cost(const Operand& x) { return 0.1 * double(x.size()); }

void pool(Pool kind, Call& call, const PoolDivisor& divisor, void* taps) {
  if (call.on_device())
    return on_stream(call.x.device, [&](const cuda::Stream& s) {
      pool2d_launch(s, kind, call.x, call.shape, divisor, call.y.operand, taps);
    });
  ReleaseGil release(cost(call.x));
  pool2d(kind, call.x, call.shape, divisor, call.y.operand, taps);
}

void pool_backward(Pool kind, Call& call, const PoolDivisor& divisor, const void* taps) {
  if (call.on_device())
    return on_stream(call.x.device, [&](const cuda::Stream& s) {
      pool2d_backward_launch(s, kind, call.x, taps, call.shape, divisor, call.y.operand);
    });
  ReleaseGil release(cost(call.y.operand));
  pool2d_backward(kind, call.x, taps, call.shape, divisor, call.y.operand);
}

py::object max_pool2d(py::handle x_array, const py::tuple& window, py::handle out) {
  Call call = forward("max_pool2d", x_array, window, out);
  pool(Pool::max, call, {}, nullptr);
  return call.finish();
}

// Memory for the taps of a result, as an array, and where it lies.
std::pair<py::object, void*> make_taps(const Call& call) {
  const PoolShape& s = call.shape;
  const ptrdiff_t dense[4] = {call.x.shape[0], s.h.out, s.w.out, call.x.shape[1]};
  if (s.wide()) {
    Result taps = result(call.op, py::none(), call.x.dtype, dense, 4, call.x.device);
    return {std::move(taps.object), taps.operand.data};
  }
  py::object taps =
      call.on_device() ? make_device_bytes(dense, 4, call.x.device) : make_bytes(dense, 4);
  const uint8_t* data = call.on_device()
                            ? read_device_bytes(taps, call.op, "taps", dense, 4, call.x.device)
                            : read_bytes(taps, call.op, "taps", dense, 4);
  return {std::move(taps), const_cast<uint8_t*>(data)};
}

py::tuple max_pool2d_taps(py::handle x_array, const py::tuple& window, py::handle out) {
  const char* op = "max_pool2d";
  Call call = forward(op, x_array, window, out);
  const PoolShape& s = call.shape;
  if (double(s.h.kernel) * s.w.kernel > 1 << 24)
    fail(op, "kernel_size", "at most 16777216 taps a window", shape_text({s.h.kernel, s.w.kernel}));
  auto [taps, data] = make_taps(call);
  pool(Pool::max, call, {}, data);
  return py::make_tuple(call.finish(), std::move(taps));
}

// The memory of taps that max_pool2d_taps made for this window and these sizes.
const void* read_taps(const char* op, py::handle taps, const Operand& image,
                      const PoolShape& shape) {
  const bool there = image.device != kCpu;
  ptrdiff_t dense[4] = {image.shape[0], shape.h.out, shape.w.out, image.shape[1]};
  if (!shape.wide())
    return there ? read_device_bytes(taps, op, "taps", dense, 4, image.device)
                 : read_bytes(taps, op, "taps", dense, 4);
  Operand x = read(taps, op, "taps", Places::any);
  expect_shape(op, "taps", x, dense, 4);
  same_place(op, "dy", image, "taps", x);
  if (x.dtype != image.dtype || !is_c_order(x))
    fail(op, "taps", "what max_pool2d_taps gave", "another array");
  return x.data;
}

py::object max_pool2d_indices(py::handle taps, py::handle y_array, const py::tuple& size,
                              const py::tuple& window) {
  const char* op = "max_pool2d_indices";
  Operand y = read_image(y_array, op, "y", Places::cpu);
  PoolShape shape = read_window(op, integer(size[0]), integer(size[1]), window);
  const void* data = read_taps(op, taps, y, shape);
  ptrdiff_t dense[4] = {y.shape[0], shape.h.out, shape.w.out, y.shape[1]};
  int64_t* indices;
  py::object made = make_indices(dense, 4, &indices);
  pool2d_indices(data, y.dtype, y.shape[0], y.shape[1], shape, indices);
  return made;
}

Call backward(const char* op, py::handle dy_array, const py::tuple& size, const py::tuple& window,
              py::handle out) {
  Operand dy = read_image(dy_array, op, "dy");
  PoolShape shape = read_window(op, integer(size[0]), integer(size[1]), window);
  ptrdiff_t made[4] = {dy.shape[0], dy.shape[1], shape.h.out, shape.w.out};
  expect_shape(op, "dy", dy, made, 4);
  const ptrdiff_t in[4] = {dy.shape[0], dy.shape[1], shape.h.in, shape.w.in};
  return Call(op, dy_array, dy, std::move(shape), in, out);
}

py::object max_pool2d_backward(py::handle dy, py::handle taps, const py::tuple& size,
                               const py::tuple& window, py::handle out) {
  const char* op = "max_pool2d_backward";
  Call call = backward(op, dy, size, window, out);
  pool_backward(Pool::max, call, {}, read_taps(op, taps, call.x, call.shape));
  return call.finish();
}

// A number, "inside" (the taps inside the image) or "padded" (those inside the padding as well).
PoolDivisor read_divisor(const char* op, py::handle divisor) {
  if (is_scalar(divisor)) {
    double value = PyFloat_AsDouble(divisor.ptr());
    if (value == 0) fail(op, "divisor", "a number other than 0", "0");
    return {PoolDivisor::number, value};
  }
  std::string name = py::str(divisor).cast<std::string>();
  if (name == "inside") return {PoolDivisor::inside, 1};
  if (name == "padded") return {PoolDivisor::padded, 1};
  fail(op, "divisor", "a number, \"inside\" or \"padded\"", name);
}

py::object sum_pool2d(py::handle x, const py::tuple& window, py::handle divisor, py::handle out) {
  Call call = forward("sum_pool2d", x, window, out);
  pool(Pool::sum, call, read_divisor("sum_pool2d", divisor), nullptr);
  return call.finish();
}

py::object sum_pool2d_backward(py::handle dy, const py::tuple& size, const py::tuple& window,
                               py::handle divisor, py::handle out) {
  Call call = backward("sum_pool2d_backward", dy, size, window, out);
  pool_backward(Pool::sum, call, read_divisor("sum_pool2d_backward", divisor), nullptr);
  return call.finish();
}

py::object lp2_pool2d(py::handle x, const py::tuple& window, py::handle out) {
  Call call = forward("lp2_pool2d", x, window, out);
  pool(Pool::lp2, call, {PoolDivisor::share, 1}, nullptr);
  return call.finish();
}

// Indices (N, P, Q, C) for an image (N, C, P, Q).
const int64_t* read_positions(const char* op, py::handle array, const Operand& x) {
  Indices indices = read_indices(array, op, "indices");
  ptrdiff_t dense[4] = {x.shape[0], x.shape[2], x.shape[3], x.shape[1]};
  bool same = indices.rank == 4;
  for (int i = 0; same && i < 4; ++i) same = indices.shape[i] == dense[i];
  if (!same)
    fail(op, "indices", "shape " + shape_text(dense, 4) + " (N, P, Q, C)",
         shape_text(indices.shape, indices.rank));
  return indices.data;
}

py::object max_unpool2d_binding(py::handle x_array, py::handle indices, const py::tuple& size,
                                py::handle out) {
  const char* op = "max_unpool2d";
  Operand x = read_image(x_array, op, "x", Places::cpu);
  const int64_t* positions = read_positions(op, indices, x);
  ptrdiff_t shape[4] = {x.shape[0], x.shape[1], integer(size[0]), integer(size[1])};
  if (shape[2] < 0 || shape[3] < 0)
    fail(op, "size", "two sizes of 0 or more", shape_text({shape[2], shape[3]}));
  checked_product(op, "size", shape, 4);
  Result y = result_channels_last(op, out, x.dtype, shape);
  ReleaseGil release(cost(y.operand));
  max_unpool2d(x, positions, y.operand);
  return std::move(y.object);
}

py::object max_unpool2d_backward_binding(py::handle dy_array, py::handle indices, py::handle out) {
  const char* op = "max_unpool2d_backward";
  Operand dy = read_image(dy_array, op, "dy", Places::cpu);
  Indices read = read_indices(indices, op, "indices");
  if (read.rank != 4) fail(op, "indices", "rank 4 (N, P, Q, C)", std::to_string(read.rank));
  ptrdiff_t shape[4] = {dy.shape[0], dy.shape[1], read.shape[1], read.shape[2]};
  Result dx = result_channels_last(op, out, dy.dtype, shape);
  const int64_t* positions = read_positions(op, indices, dx.operand);
  ReleaseGil release(cost(dy));
  max_unpool2d_backward(dy, positions, dx.operand);
  return std::move(dx.object);
}

}  // namespace

void bind_pool2d(py::module_& m) {
  auto none = py::none();
  m.def("max_pool2d", &max_pool2d, py::arg("x"), py::arg("window"), py::arg("out") = none,
        "The maximum over each window.");
  m.def("max_pool2d_taps", &max_pool2d_taps, py::arg("x"), py::arg("window"), py::arg("out") = none,
        "(y, taps): the maximum, and (N, P, Q, C) which tap of its window it came from.");
  m.def("max_pool2d_indices", &max_pool2d_indices, py::arg("taps"), py::arg("y"), py::arg("size"),
        py::arg("window"), "Taps as int64 (N, P, Q, C) positions h * W + w in an input (H, W).");
  m.def("max_pool2d_backward", &max_pool2d_backward, py::arg("dy"), py::arg("taps"),
        py::arg("size"), py::arg("window"), py::arg("out") = none,
        "dx for an input of size (H, W).");
  m.def("sum_pool2d", &sum_pool2d, py::arg("x"), py::arg("window"), py::arg("divisor") = 1.0,
        py::arg("out") = none, "The sum over each window over a divisor.");
  m.def("sum_pool2d_backward", &sum_pool2d_backward, py::arg("dy"), py::arg("size"),
        py::arg("window"), py::arg("divisor") = 1.0, py::arg("out") = none,
        "dx for an input of size (H, W).");
  m.def("lp2_pool2d", &lp2_pool2d, py::arg("x"), py::arg("window"), py::arg("out") = none,
        "The Euclidean norm of each window, scaled up where part of it is missing.");
  m.def("max_unpool2d", &max_unpool2d_binding, py::arg("x"), py::arg("indices"), py::arg("size"),
        py::arg("out") = none,
        "Zeros (N, C, H, W) with x at positions indices (N, P, Q, C); size is (H, W).");
  m.def("max_unpool2d_backward", &max_unpool2d_backward_binding, py::arg("dy"), py::arg("indices"),
        py::arg("out") = none, "dy at positions indices.");
}

}  // namespace striate
