// SPDX-License-Identifier: Apache-2.0
#include "ops/conv3d/conv3d.h"

#include <array>

#include "bindings/epilogue.h"

namespace striate {
namespace {

using Triple = std::array<ptrdiff_t, 3>;

Triple triple_of(py::handle value, const char* op, const char* argument) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != 3)
    fail(op, argument, "three integers", py::repr(value).cast<std::string>());
  py::tuple t = py::reinterpret_borrow<py::tuple>(value);
  return {t[0].cast<ptrdiff_t>(), t[1].cast<ptrdiff_t>(), t[2].cast<ptrdiff_t>()};
}

// Everything but the arrays' shapes, checked.
struct Options {
  Triple stride, dilation, before, after;
  ptrdiff_t groups;
};

Options options_of(const char* op, py::handle stride, py::handle padding, py::handle dilation,
                   ptrdiff_t groups) {
  Options o{triple_of(stride, op, "stride"), triple_of(dilation, op, "dilation"), {}, {}, groups};
  if (!py::isinstance<py::tuple>(padding) || py::len(padding) != 3)
    fail(op, "padding", "three pairs", py::repr(padding).cast<std::string>());
  for (size_t i = 0; i < 3; ++i) {
    py::object pair = py::reinterpret_borrow<py::tuple>(padding)[i];
    if (!py::isinstance<py::tuple>(pair) || py::len(pair) != 2)
      fail(op, "padding", "a pair of integers", py::repr(pair).cast<std::string>());
    auto both = py::reinterpret_borrow<py::tuple>(pair);
    o.before[i] = both[0].cast<ptrdiff_t>(), o.after[i] = both[1].cast<ptrdiff_t>();
  }
  // Behind the volume padding may be negative: the transpose of a convolution that stops short.
  constexpr ptrdiff_t kMost = ptrdiff_t(1) << 40;  // so that no sum of them overflows
  auto check = [&](const char* argument, const Triple& values, ptrdiff_t least) {
    for (ptrdiff_t v : values)
      if (v < least || v >= kMost)
        fail(op, argument, least == 1 ? "1 or more" : "0 or more", shape_text(values.data(), 3));
  };
  check("stride", o.stride, 1), check("dilation", o.dilation, 1);
  check("padding", o.before, 0), check("padding", o.after, -kMost);
  if (groups < 1) fail(op, "groups", "1 or more", std::to_string(groups));
  return o;
}

// The problem, from the shapes of input (N, C, D, H, W) and weight (K, C / groups, T, R, S).
Conv3dShape shape_of(const char* op, const ptrdiff_t* x, const Operand& w, const Options& o) {
  if (w.rank != 5) fail(op, "weight", "(K, C / groups, T, R, S)", "shape " + w.text());
  const ptrdiff_t c = x[1], k = w.shape[0], groups = o.groups;
  if (c % groups != 0 || k % groups != 0)
    fail(op, "groups",
         "a divisor of " + std::to_string(c) + " channels and " + std::to_string(k) + " filters",
         std::to_string(groups));
  if (w.shape[1] != c / groups)
    fail(op, "weight",
         "(K, " + std::to_string(c / groups) + ", T, R, S) for an input of " + std::to_string(c) +
             " channels in " + std::to_string(groups) + " groups",
         "shape " + w.text());
  for (int i : {0, 2, 3, 4})
    if (w.shape[i] < 1) fail(op, "weight", "sizes of 1 or more", w.text());
  static const char* const names[] = {"depth", "height", "width"};
  ptrdiff_t out[3];
  for (size_t i = 0; i < 3; ++i)
    out[i] = conv_output_size(op, names[i], x[2 + i], o.before[i] + o.after[i], w.shape[2 + i],
                              o.stride[i], o.dilation[i]);
  ptrdiff_t y[5] = {x[0], k, out[0], out[1], out[2]};
  checked_product(op, "output", y, 5);
  ConvShape plane{x[0],        c,           x[3],        x[4],          k,
                  w.shape[3],  w.shape[4],  out[1],      out[2],        o.stride[1],
                  o.stride[2], o.before[1], o.before[2], o.dilation[1], o.dilation[2],
                  groups};
  return {plane, x[2], w.shape[2], out[0], o.stride[0], o.before[0], o.dilation[0]};
}

Operand read_volumes(py::handle h, const char* op, const char* argument) {
  Operand x = read(h, op, argument);
  if (x.rank != 5) fail(op, argument, "(N, C, D, H, W)", "shape " + x.text());
  if (!is_channels_last(x))
    fail(op, argument, "channels-last memory", "shape " + x.text() + " in another order");
  return x;
}

// A result that is computed in channels-last memory and copied to `out` where that lies otherwise.
struct Volumes {
  Result asked, dense;
  Volumes(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape)
      : asked(result_channels_last(op, out, dtype, shape, 5)) {
    dense = is_channels_last(asked.operand) ? asked
                                            : result_channels_last(op, py::none(), dtype, shape, 5);
  }
  py::object finish() {
    if (!dense.object.is(asked.object)) asked.object[py::ellipsis()] = dense.object;
    return std::move(asked.object);
  }
};

void shape_of_output(const Conv3dShape& s, ptrdiff_t* shape) {
  shape[0] = s.plane.n, shape[1] = s.plane.k, shape[2] = s.o;
  shape[3] = s.plane.p, shape[4] = s.plane.q;
}

py::object fwd(py::handle x_array, py::handle w_array, py::handle bias, py::handle stride,
               py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle activation,
               py::handle parameter, py::handle out) {
  const char* op = "conv3d";
  Operand x = read_volumes(x_array, op, "input"), w = read_volumes(w_array, op, "weight");
  same_dtype(op, "weight", x, w);
  Conv3dShape s = shape_of(op, x.shape, w, options_of(op, stride, padding, dilation, groups));
  EpilogueArguments epilogue(op, bias, activation, parameter, x);
  ptrdiff_t shape[5];
  shape_of_output(s, shape);
  Volumes y(op, out, x.dtype, shape);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Epilogue<T> e = epilogue.of<T>(s.plane.k);
    ReleaseGil release(s.flops() * 0.02);
    conv3d_fwd(s, x.as<const T>(), w.as<const T>(), e, y.dense.operand.as<T>());
  });
  return y.finish();
}

// The gradient for the input, of shape `size` (D, H, W); also the transposed convolution.
py::object bwd_data(py::handle dy_array, py::handle w_array, py::handle size, py::handle bias,
                    py::handle stride, py::handle padding, py::handle dilation, ptrdiff_t groups,
                    py::handle out) {
  const char* op = "conv3d_bwd_data";
  Operand dy = read_volumes(dy_array, op, "dy"), w = read_volumes(w_array, op, "weight");
  same_dtype(op, "weight", dy, w);
  Triple in = triple_of(size, op, "size");
  Options o = options_of(op, stride, padding, dilation, groups);
  ptrdiff_t x_shape[5] = {dy.shape[0], w.shape[1] * groups, in[0], in[1], in[2]}, y_shape[5];
  Conv3dShape s = shape_of(op, x_shape, w, o);
  shape_of_output(s, y_shape);
  expect_shape(op, "dy", dy, y_shape, 5);
  checked_product(op, "input", x_shape, 5);
  EpilogueArguments epilogue(op, bias, py::none(), py::float_(0.0), dy);
  Volumes dx(op, out, dy.dtype, x_shape);
  dispatch(dy.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Epilogue<T> e = epilogue.of<T>(s.plane.c);
    ReleaseGil release(s.flops() * 0.02);
    conv3d_bwd_data(s, dy.as<const T>(), w.as<const T>(), e, dx.dense.operand.as<T>());
  });
  return dx.finish();
}

// The gradient for weights of filter size `size` (T, R, S).
py::object bwd_weight(py::handle x_array, py::handle dy_array, py::handle size, py::handle stride,
                      py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle out) {
  const char* op = "conv3d_bwd_weight";
  Operand x = read_volumes(x_array, op, "input"), dy = read_volumes(dy_array, op, "dy");
  same_dtype(op, "dy", x, dy);
  Options o = options_of(op, stride, padding, dilation, groups);
  Triple filter = triple_of(size, op, "size");
  Operand w = dy;
  w.shape[0] = dy.shape[1], w.shape[1] = x.shape[1] / groups;
  for (size_t i = 0; i < 3; ++i) w.shape[2 + i] = filter[i];
  Conv3dShape s = shape_of(op, x.shape, w, o);
  ptrdiff_t y_shape[5];
  shape_of_output(s, y_shape);
  expect_shape(op, "dy", dy, y_shape, 5);
  checked_product(op, "size", w.shape, 5);
  Volumes dw(op, out, x.dtype, w.shape);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    ReleaseGil release(s.flops() * 0.02);
    conv3d_bwd_weight(s, x.as<const T>(), dy.as<const T>(), dw.dense.operand.as<T>());
  });
  return dw.finish();
}

}  // namespace

void bind_conv3d(py::module_& m) {
  auto none = py::none();
  m.def("conv3d", &fwd, py::arg("x"), py::arg("weight"), py::arg("bias") = none, py::kw_only(),
        py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
        py::arg("activation") = none, py::arg("parameter") = 0.0, py::arg("out") = none,
        "Forward convolution. padding is ((front, back), (top, bottom), (left, right)).");
  m.def("conv3d_bwd_data", &bwd_data, py::arg("dy"), py::arg("weight"), py::kw_only(),
        py::arg("size"), py::arg("bias") = none, py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"), py::arg("out") = none,
        "Gradient for the input of (D, H, W) = size; read forward, the transposed convolution.");
  m.def("conv3d_bwd_weight", &bwd_weight, py::arg("x"), py::arg("dy"), py::kw_only(),
        py::arg("size"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("out") = none, "Gradient for weights of (T, R, S) = size.");
}

}  // namespace striate
