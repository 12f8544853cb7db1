// SPDX-License-Identifier: Apache-2.0
// Convolution of images (D = 2) and volumes (D = 3). Images may be bfloat16: results are float32
// then, or bfloat16 where `out` is.
#include "bindings/device_array.h"
#include "bindings/epilogue.h"
#include "ops/cast/cast.h"
#include "ops/conv2d/choice.h"
#include "ops/conv2d/options.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

// Everything but the arrays, as Python gives it.
struct Given {
  py::handle stride, padding, dilation;
  ptrdiff_t groups;
};

// (h, w) or (d, h, w).
template <int D>
void read_axes(const char* op, const char* argument, py::handle value, ptrdiff_t (&axes)[D]) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != D)
    fail(op, argument, D == 2 ? "a pair of integers" : "three integers",
         py::repr(value).cast<std::string>());
  const py::tuple t = py::reinterpret_borrow<py::tuple>(value);
  for (int i = 0; i < D; ++i) axes[i] = t[size_t(i)].cast<ptrdiff_t>();
}

template <int D>
ConvOptions<D> options_of(const char* op, const Given& given) {
  ConvOptions<D> o;
  read_axes(op, "stride", given.stride, o.stride);
  read_axes(op, "dilation", given.dilation, o.dilation);
  if (!py::isinstance<py::tuple>(given.padding) || py::len(given.padding) != D)
    fail(op, "padding", D == 2 ? "two pairs" : "three pairs",
         py::repr(given.padding).cast<std::string>());
  const py::tuple pairs = py::reinterpret_borrow<py::tuple>(given.padding);
  for (int i = 0; i < D; ++i) {
    ptrdiff_t pair[2];
    read_axes(op, "padding", pairs[size_t(i)], pair);
    o.before[i] = pair[0], o.after[i] = pair[1];
  }
  o.groups = given.groups;
  check(op, o);
  return o;
}

template <int D>
Operand read_images(py::handle h, const char* op, const char* argument) {
  Operand x = D == 2 ? read_with_bf16(h, op, argument, Places::any) : read(h, op, argument);
  if (x.rank != 2 + D)
    fail(op, argument, D == 2 ? "(N, C, H, W)" : "(N, C, D, H, W)", "shape " + x.text());
  if (!is_channels_last(x))
    fail(op, argument, "channels-last memory", "shape " + x.text() + " in another order");
  return x;
}

// What results and epilogues are made of, and the type of it for operands of T.
Dtype sums_of(Dtype dtype) { return dtype == Dtype::bf16 ? Dtype::f32 : dtype; }
template <class T>
using Sum = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

// A result that is computed in channels-last memory and copied to `out` where that lies otherwise
// or, unless the pass rounds, is bfloat16.
struct Images {
  Result asked, dense;
  Images(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank,
         int device = kCpu, bool rounds = false) {
    const Dtype sums = sums_of(dtype);
    const bool narrow = sums != dtype && !out.is_none() &&
                        read_with_bf16(out, op, "out", Places::any).dtype == Dtype::bf16;
    asked = result_channels_last(op, out, narrow ? Dtype::bf16 : sums, shape, rank, device);
    dense = is_channels_last(asked.operand) && (!narrow || rounds)
                ? asked
                : result_channels_last(op, py::none(), sums, shape, rank, device);
  }
  py::object finish() {
    if (dense.object.is(asked.object)) return std::move(asked.object);
    if (asked.operand.device != kCpu) {
      finish_on_device();
    } else {
      const bool same = dense.operand.dtype == asked.operand.dtype;
      (same ? copy : cast)(dense.operand, asked.operand);
    }
    return std::move(asked.object);
  }

 private:
  void finish_on_device() {
    if (dense.operand.dtype == asked.operand.dtype) {
      asked.object.attr("__setitem__")(py::ellipsis(), dense.object);
      return;
    }
    if (!is_channels_last(asked.operand))
      fail("conv2d", "out", "channels-last memory of bfloat16 on a GPU", "another order");
    on_stream(asked.operand.device, [&](const cuda::Stream& stream) {
      cast_launch(stream, dense.operand, asked.operand);
    });
  }
};

EpilogueArguments epilogue_of(const char* op, py::handle bias, py::handle activation,
                              py::handle parameter, Operand operand) {
  operand.dtype = sums_of(operand.dtype);
  return EpilogueArguments(op, bias, activation, parameter, operand);
}

// Calls body(null T*) of the dtype with the GIL released, if the problem is worth it.
template <int D, class Shape, class F>
void run(const Shape& s, Dtype dtype, F&& body) {
  ReleaseGil release(s.flops() * 0.02);
  if constexpr (D == 2)
    if (dtype == Dtype::bf16) return body(static_cast<bfloat16*>(nullptr));
  dispatch(dtype, body);
}

// Two operands of one dtype in one place.
void expect_alike(const char* op, const char* a_name, const Operand& a, const char* b_name,
                  const Operand& b) {
  same_dtype(op, b_name, a, b);
  same_place(op, a_name, a, b_name, b);
}

struct OnGpu {
  const char* op;
  ConvPass pass;
  const ConvShape& shape;
  const Operand &a, &b;
};

template <class R>
py::object launched_with(const OnGpu& g, const EpilogueArguments* given, ptrdiff_t columns,
                         py::handle out, const ptrdiff_t* shape) {
  const int device = g.a.device;
  const Epilogue<R> e = given ? given->of<R>(columns) : Epilogue<R>();
  const SumParts parts = conv2d_parts(g.op, device, g.pass, g.shape, g.a.dtype);
  Images made(g.op, out, g.a.dtype, shape, 4, device, given && !e.activation);
  Result space{py::none(), {}};
  if (parts.parts > 1) space = result(g.op, py::none(), dtype_of<R>, &parts.floats, 1, device);
  const Operand& y = made.dense.operand;
  on_stream(device, [&](const cuda::Stream& stream) {
    conv2d_launch<R>(stream, g.pass, g.shape, parts,
                     {g.a.dtype, g.a.data, g.b.data, e, y.dtype, y.data, space.operand.as<R>()});
    if (given)
      given->rest(
          e, [&](Activation f, Parameters<double> p) { activation_launch(stream, f, y, p, y); });
  });
  return made.finish();
}

// Runs a pass whose operands are on a GPU; its epilogue, if any, is for `columns` channels.
py::object launched(const OnGpu& g, const EpilogueArguments* given, ptrdiff_t columns,
                    py::handle out, const ptrdiff_t* shape) {
  const auto run = g.a.dtype == Dtype::f64 ? launched_with<double> : launched_with<float>;
  return run(g, given, columns, out, shape);
}

template <int D>
py::object fwd(const char* op, py::handle x_array, py::handle w_array, py::handle bias,
               const Given& given, py::handle activation, py::handle parameter, py::handle out) {
  Operand x = read_images<D>(x_array, op, "input"), w = read_images<D>(w_array, op, "weight");
  expect_alike(op, "input", x, "weight", w);
  const auto s = conv_shape(op, x.shape, w, options_of<D>(op, given));
  const EpilogueArguments epilogue = epilogue_of(op, bias, activation, parameter, x);
  ptrdiff_t shape[2 + D];
  output_shape(s, shape);
  if constexpr (D == 2)
    if (x.device != kCpu) return launched({op, ConvPass::fwd, s, x, w}, &epilogue, s.k, out, shape);
  Images y(op, out, x.dtype, shape, 2 + D);
  run<D>(s, x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    conv_fwd(s, x.as<const T>(), w.as<const T>(), epilogue.of<Sum<T>>(filters_of(s)),
             y.dense.operand.as<Sum<T>>());
  });
  return y.finish();
}

// The gradient for the input, of spatial shape `size`; also the transposed convolution.
template <int D>
py::object bwd_data(const char* op, py::handle dy_array, py::handle w_array, py::handle size,
                    py::handle bias, const Given& given, py::handle activation,
                    py::handle parameter, py::handle out) {
  Operand dy = read_images<D>(dy_array, op, "dy"), w = read_images<D>(w_array, op, "weight");
  expect_alike(op, "dy", dy, "weight", w);
  ptrdiff_t in[D], x_shape[2 + D], y_shape[2 + D];
  read_axes(op, "size", size, in);
  const ConvOptions<D> o = options_of<D>(op, given);
  x_shape[0] = dy.shape[0];
  if (__builtin_mul_overflow(w.shape[1], o.groups, &x_shape[1]))
    fail(op, "groups", "at most 2^63 - 1 channels", std::to_string(o.groups));
  for (int i = 0; i < D; ++i) x_shape[2 + i] = in[i];
  const auto s = conv_shape(op, x_shape, w, o);
  output_shape(s, y_shape);
  expect_shape(op, "dy", dy, y_shape, 2 + D);
  checked_product(op, "input", x_shape, 2 + D);
  const EpilogueArguments epilogue = epilogue_of(op, bias, activation, parameter, dy);
  if constexpr (D == 2)
    if (dy.device != kCpu)
      return launched({op, ConvPass::bwd_data, s, dy, w}, &epilogue, s.c, out, x_shape);
  Images dx(op, out, dy.dtype, x_shape, 2 + D);
  run<D>(s, dy.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    conv_bwd_data(s, dy.as<const T>(), w.as<const T>(), epilogue.of<Sum<T>>(channels_of(s)),
                  dx.dense.operand.as<Sum<T>>());
  });
  return dx.finish();
}

// The gradient for weights of filter size `size`.
template <int D>
py::object bwd_weight(const char* op, py::handle x_array, py::handle dy_array, py::handle size,
                      const Given& given, py::handle out) {
  Operand x = read_images<D>(x_array, op, "input"), dy = read_images<D>(dy_array, op, "dy");
  expect_alike(op, "input", x, "dy", dy);
  const ConvOptions<D> o = options_of<D>(op, given);
  ptrdiff_t filter[D], y_shape[2 + D];
  read_axes(op, "size", size, filter);
  Operand w = dy;
  w.shape[0] = dy.shape[1], w.shape[1] = x.shape[1] / o.groups;
  for (int i = 0; i < D; ++i) w.shape[2 + i] = filter[i];
  const auto s = conv_shape(op, x.shape, w, o);
  output_shape(s, y_shape);
  expect_shape(op, "dy", dy, y_shape, 2 + D);
  checked_product(op, "size", w.shape, 2 + D);
  if constexpr (D == 2)
    if (x.device != kCpu)
      return launched({op, ConvPass::bwd_weight, s, x, dy}, nullptr, 0, out, w.shape);
  Images dw(op, out, x.dtype, w.shape, 2 + D);
  run<D>(s, x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    conv_bwd_weight(s, x.as<const T>(), dy.as<const T>(), dw.dense.operand.as<Sum<T>>());
  });
  return dw.finish();
}

template <int D>
void bind(py::module_& m, const char* name, const char* data_name, const char* weight_name) {
  auto none = py::none();
  m.def(
      name,
      [name](py::handle x, py::handle w, py::handle bias, py::handle stride, py::handle padding,
             py::handle dilation, ptrdiff_t groups, py::handle activation, py::handle parameter,
             py::handle out) {
        return fwd<D>(name, x, w, bias, {stride, padding, dilation, groups}, activation, parameter,
                      out);
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = none, py::kw_only(), py::arg("stride"),
      py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("activation") = none,
      py::arg("parameter") = 0.0, py::arg("out") = none,
      "Forward convolution. padding is a pair (before, after) for each axis.");
  m.def(
      data_name,
      [data_name](py::handle dy, py::handle w, py::handle size, py::handle bias, py::handle stride,
                  py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle activation,
                  py::handle parameter, py::handle out) {
        return bwd_data<D>(data_name, dy, w, size, bias, {stride, padding, dilation, groups},
                           activation, parameter, out);
      },
      py::arg("dy"), py::arg("weight"), py::kw_only(), py::arg("size"), py::arg("bias") = none,
      py::arg("stride"), py::arg("padding"), py::arg("dilation"), py::arg("groups"),
      py::arg("activation") = none, py::arg("parameter") = 0.0, py::arg("out") = none,
      "Gradient for the input, behind (N, C) of `size`; read forward, the transposed convolution.");
  m.def(
      weight_name,
      [weight_name](py::handle x, py::handle dy, py::handle size, py::handle stride,
                    py::handle padding, py::handle dilation, ptrdiff_t groups, py::handle out) {
        return bwd_weight<D>(weight_name, x, dy, size, {stride, padding, dilation, groups}, out);
      },
      py::arg("x"), py::arg("dy"), py::kw_only(), py::arg("size"), py::arg("stride"),
      py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("out") = none,
      "Gradient for weights whose filters have `size`.");
}

ConvPass pass_of(const char* op, const std::string& name) {
  const char* const names[] = {"fwd", "bwd_data", "bwd_weight"};
  for (int i = 0; i < 3; ++i)
    if (name == names[i]) return ConvPass(i);
  fail(op, "pass", "'fwd', 'bwd_data' or 'bwd_weight'", "'" + name + "'");
}

// (row, cost, workspace, whether autotuning measured it the fastest) of every method that takes the
// problem.
py::list candidates(const std::string& pass, const std::string& dtype, py::handle x_shape,
                    py::handle w_shape, py::handle stride, py::handle padding, py::handle dilation,
                    ptrdiff_t groups) {
  const char* op = "conv_algorithm";
  ptrdiff_t x[4];
  Operand w{nullptr, dtype == "float64" ? Dtype::f64 : Dtype::f32, 4, {}, {}};
  auto read = [&](py::handle from, ptrdiff_t* to) {
    const py::tuple t = py::cast<py::tuple>(from);
    for (size_t i = 0; i < 4; ++i) to[i] = t[i].cast<ptrdiff_t>();
  };
  read(x_shape, x), read(w_shape, w.shape);
  const ConvShape s = conv_shape(op, x, w, options_of<2>(op, {stride, padding, dilation, groups}));
  const ConvPass which = pass_of(op, pass);
  const std::string record = conv_record(s, which, w.dtype);
  py::list list;
  for (const ConvCandidate& c : conv_candidates(s, which, w.dtype))
    list.append(py::make_tuple(c.row->name, c.cost, c.workspace, record == c.row->name));
  return list;
}

}  // namespace

void bind_conv2d(py::module_& m) {
  m.def("conv2d_candidates", &candidates, py::arg("pass_"), py::arg("dtype"), py::arg("x_shape"),
        py::arg("weight_shape"), py::kw_only(), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"),
        "(row, cost, bytes of workspace, whether it is on record as the fastest) of each method "
        "that takes a problem.");
  m.def("conv_workspace", &conv_workspace, "Bytes that a convolution may take.");
  m.def("set_conv_workspace", &set_conv_workspace, py::arg("bytes"));
  m.def("conv_autotune", &conv_autotune, "Whether convolutions are measured at first sight.");
  m.def("set_conv_autotune", &set_conv_autotune, py::arg("on"), py::arg("file"));
  bind<2>(m, "conv2d", "conv2d_bwd_data", "conv2d_bwd_weight");
  bind<3>(m, "conv3d", "conv3d_bwd_data", "conv3d_bwd_weight");
}

}  // namespace striate
