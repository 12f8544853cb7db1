// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/conv2d.h"

#include <tuple>

#include "bindings/epilogue.h"

namespace striate {
namespace {

using Pair = std::pair<ptrdiff_t, ptrdiff_t>;

Pair pair_of(py::handle value, const char* op, const char* argument) {
  py::tuple t = py::reinterpret_borrow<py::tuple>(value);
  if (!py::isinstance<py::tuple>(value) || t.size() != 2)
    fail(op, argument, "a pair of integers", py::repr(value).cast<std::string>());
  return {t[0].cast<ptrdiff_t>(), t[1].cast<ptrdiff_t>()};
}

// Everything but the arrays' shapes, checked.
struct Options {
  Pair stride, dilation;
  ptrdiff_t top, bottom, left, right, groups;
};

Options options_of(const char* op, py::handle stride, py::handle padding, py::handle dilation,
                   ptrdiff_t groups) {
  Options o;
  o.stride = pair_of(stride, op, "stride");
  o.dilation = pair_of(dilation, op, "dilation");
  if (!py::isinstance<py::tuple>(padding) || py::len(padding) != 2)
    fail(op, "padding", "two pairs", py::repr(padding).cast<std::string>());
  py::tuple pads = py::reinterpret_borrow<py::tuple>(padding);
  std::tie(o.top, o.bottom) = pair_of(pads[0], op, "padding");
  std::tie(o.left, o.right) = pair_of(pads[1], op, "padding");
  o.groups = groups;
  auto text = [](Pair p) { return shape_text({p.first, p.second}); };
  constexpr ptrdiff_t kMost = ptrdiff_t(1) << 40;  // so that no sum of them overflows
  auto within = [](Pair p, ptrdiff_t low) {
    return p.first >= low && p.second >= low && p.first < kMost && p.second < kMost;
  };
  if (!within(o.stride, 1)) fail(op, "stride", "1 or more", text(o.stride));
  if (!within(o.dilation, 1)) fail(op, "dilation", "1 or more", text(o.dilation));
  // Behind the image padding may be negative: the transpose of a convolution that stops short.
  for (Pair p : {Pair{o.top, o.bottom}, Pair{o.left, o.right}})
    if (!within({p.first, 0}, 0) || !within({0, p.second}, -kMost))
      fail(op, "padding", "0 or more", text(p));
  if (groups < 1) fail(op, "groups", "1 or more", std::to_string(groups));
  return o;
}

// The problem, from the shapes of input (N, C, H, W) and weight (K, C / groups, R, S).
ConvShape shape_of(const char* op, const ptrdiff_t* x, const Operand& w, const Options& o) {
  if (w.rank != 4) fail(op, "weight", "(K, C / groups, R, S)", "shape " + w.text());
  ConvShape s{x[0],
              x[1],
              x[2],
              x[3],
              w.shape[0],
              w.shape[2],
              w.shape[3],
              0,
              0,
              o.stride.first,
              o.stride.second,
              o.top,
              o.left,
              o.dilation.first,
              o.dilation.second,
              o.groups};
  if (s.c % s.groups != 0 || s.k % s.groups != 0)
    fail(
        op, "groups",
        "a divisor of " + std::to_string(s.c) + " channels and " + std::to_string(s.k) + " filters",
        std::to_string(s.groups));
  if (w.shape[1] != s.group_c())
    fail(op, "weight",
         "(K, " + std::to_string(s.group_c()) + ", R, S) for an input of " + std::to_string(s.c) +
             " channels in " + std::to_string(s.groups) + " groups",
         "shape " + w.text());
  if (s.r < 1 || s.s < 1 || s.k < 1) fail(op, "weight", "sizes of 1 or more", w.text());
  s.p = conv_output_size(op, "height", s.h, o.top + o.bottom, s.r, s.stride_h, s.dilation_h);
  s.q = conv_output_size(op, "width", s.w, o.left + o.right, s.s, s.stride_w, s.dilation_w);
  ptrdiff_t y[4] = {s.n, s.k, s.p, s.q};
  checked_product(op, "output", y, 4);
  return s;
}

Operand read_images(py::handle h, const char* op, const char* argument) {
  Operand x = read(h, op, argument);
  if (x.rank != 4) fail(op, argument, "(N, C, H, W)", "shape " + x.text());
  if (!is_channels_last(x))
    fail(op, argument, "channels-last memory", "shape " + x.text() + " in another order");
  return x;
}

// A result that is computed in channels-last memory and copied to `out` where that lies otherwise.
struct Images {
  Result asked, dense;
  Images(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape)
      : asked(result_channels_last(op, out, dtype, shape)) {
    dense = is_channels_last(asked.operand) ? asked
                                            : result_channels_last(op, py::none(), dtype, shape);
  }
  py::object finish() {
    if (!dense.object.is(asked.object)) asked.object[py::ellipsis()] = dense.object;
    return std::move(asked.object);
  }
};

py::object fwd(py::handle x_array, py::handle w_array, py::handle bias, py::handle stride,
               py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle activation,
               py::handle parameter, py::handle out) {
  const char* op = "conv2d";
  Operand x = read_images(x_array, op, "input"), w = read_images(w_array, op, "weight");
  same_dtype(op, "weight", x, w);
  ConvShape s = shape_of(op, x.shape, w, options_of(op, stride, padding, dilation, groups));
  EpilogueArguments epilogue(op, bias, activation, parameter, x);
  ptrdiff_t shape[4] = {s.n, s.k, s.p, s.q};
  Images y(op, out, x.dtype, shape);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Epilogue<T> e = epilogue.of<T>(s.k);
    ReleaseGil release(s.flops() * 0.02);
    conv2d_fwd(s, x.as<const T>(), w.as<const T>(), e, y.dense.operand.as<T>());
  });
  return y.finish();
}

// The gradient for the input, of shape `size` (H, W); also the transposed convolution.
py::object bwd_data(py::handle dy_array, py::handle w_array, py::handle size, py::handle bias,
                    py::handle stride, py::handle padding, py::handle dilation, ptrdiff_t groups,
                    py::handle activation, py::handle parameter, py::handle out) {
  const char* op = "conv2d_bwd_data";
  Operand dy = read_images(dy_array, op, "dy"), w = read_images(w_array, op, "weight");
  same_dtype(op, "weight", dy, w);
  Pair hw = pair_of(size, op, "size");
  Options o = options_of(op, stride, padding, dilation, groups);
  ptrdiff_t x_shape[4] = {dy.shape[0], w.shape[1] * groups, hw.first, hw.second};
  ConvShape s = shape_of(op, x_shape, w, o);
  ptrdiff_t y_shape[4] = {s.n, s.k, s.p, s.q};
  expect_shape(op, "dy", dy, y_shape, 4);
  checked_product(op, "input", x_shape, 4);
  EpilogueArguments epilogue(op, bias, activation, parameter, dy);
  Images dx(op, out, dy.dtype, x_shape);
  dispatch(dy.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Epilogue<T> e = epilogue.of<T>(s.c);
    ReleaseGil release(s.flops() * 0.02);
    conv2d_bwd_data(s, dy.as<const T>(), w.as<const T>(), e, dx.dense.operand.as<T>());
  });
  return dx.finish();
}

// The gradient for weights of filter size `size` (R, S).
py::object bwd_weight(py::handle x_array, py::handle dy_array, py::handle size, py::handle stride,
                      py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle out) {
  const char* op = "conv2d_bwd_weight";
  Operand x = read_images(x_array, op, "input"), dy = read_images(dy_array, op, "dy");
  same_dtype(op, "dy", x, dy);
  Options o = options_of(op, stride, padding, dilation, groups);
  Pair rs = pair_of(size, op, "size");
  Operand w = dy;
  w.shape[0] = dy.shape[1], w.shape[1] = x.shape[1] / groups;
  w.shape[2] = rs.first, w.shape[3] = rs.second;
  ConvShape s = shape_of(op, x.shape, w, o);
  ptrdiff_t y_shape[4] = {s.n, s.k, s.p, s.q};
  expect_shape(op, "dy", dy, y_shape, 4);
  Images dw(op, out, x.dtype, w.shape);
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    ReleaseGil release(s.flops() * 0.02);
    conv2d_bwd_weight(s, x.as<const T>(), dy.as<const T>(), dw.dense.operand.as<T>());
  });
  return dw.finish();
}

}  // namespace

void bind_conv2d(py::module_& m) {
  auto none = py::none();
  m.def("conv2d", &fwd, py::arg("x"), py::arg("weight"), py::arg("bias") = none, py::kw_only(),
        py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
        py::arg("activation") = none, py::arg("parameter") = 0.0, py::arg("out") = none,
        "Forward convolution. padding is ((top, bottom), (left, right)).");
  m.def("conv2d_bwd_data", &bwd_data, py::arg("dy"), py::arg("weight"), py::kw_only(),
        py::arg("size"), py::arg("bias") = none, py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"), py::arg("activation") = none,
        py::arg("parameter") = 0.0, py::arg("out") = none,
        "Gradient for the input of (H, W) = size; read forward, the transposed convolution.");
  m.def("conv2d_bwd_weight", &bwd_weight, py::arg("x"), py::arg("dy"), py::kw_only(),
        py::arg("size"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("out") = none, "Gradient for weights of (R, S) = size.");
}

}  // namespace striate
