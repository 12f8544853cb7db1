// SPDX-License-Identifier: Apache-2.0
// Convolution of images (D = 2) and volumes (D = 3).
#include "capi/capi.h"
#include "ops/conv2d/options.h"

using namespace striate;

namespace {

template <int D, class P>
ConvOptions<D> options_of(const char* op, const P* given) {
  const P& p = capi::given(op, "p", given);
  ConvOptions<D> o;
  for (int i = 0; i < D; ++i) {
    o.stride[i] = p.stride[i], o.dilation[i] = p.dilation[i];
    o.before[i] = p.padding[2 * i], o.after[i] = p.padding[2 * i + 1];
  }
  o.groups = p.groups;
  check(op, o);
  return o;
}

template <int D>
Operand images(const char* op, const char* argument, const Operand& x) {
  if (x.rank != 2 + D)
    fail(op, argument, D == 2 ? "rank 4 (N, C, H, W)" : "rank 5 (N, C, D, H, W)",
         "shape " + x.text());
  return x;
}

// The arrays of a call: two are read and one is written. `shape` is the problem's.
template <int D>
struct Call {
  Operand x, weight, y;

  Call(const char* op, const char* x_name, const striate_tensor* x_tensor, const char* w_name,
       const striate_tensor* w_tensor, const char* y_name, const striate_tensor* y_tensor)
      : x(images<D>(op, x_name, capi::read(op, x_name, x_tensor))),
        weight(images<D>(op, w_name, capi::read(op, w_name, w_tensor))),
        y(images<D>(op, y_name, capi::written(op, y_name, y_tensor))) {
    same_dtype(op, w_name, x, weight);
    same_dtype(op, y_name, x, y);
  }
};

template <class Shape>
void expect_output(const char* op, const char* argument, const Operand& y, const Shape& s) {
  ptrdiff_t shape[5];
  output_shape(s, shape);
  expect_shape(op, argument, y, shape, y.rank);
}

void check_epilogue(const char* op, const striate_epilogue* e) {
  if (e != nullptr && (e->alpha != 1 || e->beta != 0))
    fail(op, "epilogue", "alpha 1 and beta 0", "others");
}

template <int D, class P>
striate_status forward(const char* op, const P* p, const striate_tensor* x,
                       const striate_tensor* weight, const striate_epilogue* epilogue,
                       const striate_tensor* y) {
  return capi::guarded([&] {
    Call<D> call(op, "x", x, "weight", weight, "y", y);
    const auto s = conv_shape(op, call.x.shape, call.weight, options_of<D>(op, p));
    expect_output(op, "y", call.y, s);
    check_epilogue(op, epilogue);
    const capi::Input bias = capi::bias_of(op, epilogue, call.x, filters_of(s));
    ImageInput in(call.x), w(call.weight);
    ImageOutput out(call.y);
    dispatch(call.x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv_fwd(s, in.as<T>(), w.as<T>(), capi::epilogue_of<T>(epilogue, bias), out.as<T>());
    });
    out.finish();
  });
}

template <int D, class P>
striate_status backward_data(const char* op, const P* p, const striate_tensor* dy,
                             const striate_tensor* weight, const striate_epilogue* epilogue,
                             const striate_tensor* dx) {
  return capi::guarded([&] {
    Call<D> call(op, "dy", dy, "weight", weight, "dx", dx);
    const auto s = conv_shape(op, call.y.shape, call.weight, options_of<D>(op, p));
    expect_output(op, "dy", call.x, s);
    check_epilogue(op, epilogue);
    const capi::Input bias = capi::bias_of(op, epilogue, call.x, channels_of(s));
    ImageInput grad(call.x), w(call.weight);
    ImageOutput out(call.y);
    dispatch(call.x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv_bwd_data(s, grad.as<T>(), w.as<T>(), capi::epilogue_of<T>(epilogue, bias), out.as<T>());
    });
    out.finish();
  });
}

template <int D, class P>
striate_status backward_weight(const char* op, const P* p, const striate_tensor* x,
                               const striate_tensor* dy, const striate_tensor* dweight) {
  return capi::guarded([&] {
    Call<D> call(op, "x", x, "dy", dy, "dweight", dweight);
    const auto s = conv_shape(op, call.x.shape, call.y, options_of<D>(op, p));
    expect_output(op, "dy", call.weight, s);
    ImageInput in(call.x), grad(call.weight);
    ImageOutput out(call.y);
    dispatch(call.x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv_bwd_weight(s, in.as<T>(), grad.as<T>(), out.as<T>());
    });
    out.finish();
  });
}

// The output's size for images of `size` behind (N, C) and filters of `filter`.
template <int D, class P>
void output_size(const char* op, const P* p, const int64_t* size, const int64_t* filter,
                 int64_t* out) {
  Operand x{nullptr, Dtype::f32, 2 + D, {1, 1}, {}}, w = x;
  const ConvOptions<D> o = options_of<D>(op, p);
  x.shape[1] = w.shape[0] = o.groups;
  for (int i = 0; i < D; ++i) x.shape[2 + i] = size[i], w.shape[2 + i] = filter[i];
  ptrdiff_t y[2 + D];
  output_shape(conv_shape(op, x.shape, w, o), y);
  for (int i = 0; i < D; ++i) out[i] = y[2 + i];
}

}  // namespace

extern "C" {

striate_status striate_conv2d_output_size(const striate_conv2d* p, int64_t height, int64_t width,
                                          int64_t r, int64_t s, int64_t size[2]) {
  return capi::guarded([&] {
    const int64_t images[2] = {height, width}, filter[2] = {r, s};
    const char* op = "conv2d_output_size";
    capi::given(op, "size", size);
    output_size<2>(op, p, images, filter, size);
  });
}

striate_status striate_conv2d_forward(const striate_conv2d* p, const striate_tensor* x,
                                      const striate_tensor* weight,
                                      const striate_epilogue* epilogue, const striate_tensor* y) {
  return forward<2>("conv2d_forward", p, x, weight, epilogue, y);
}

striate_status striate_conv2d_backward_data(const striate_conv2d* p, const striate_tensor* dy,
                                            const striate_tensor* weight,
                                            const striate_epilogue* epilogue,
                                            const striate_tensor* dx) {
  return backward_data<2>("conv2d_backward_data", p, dy, weight, epilogue, dx);
}

striate_status striate_conv2d_backward_weight(const striate_conv2d* p, const striate_tensor* x,
                                              const striate_tensor* dy,
                                              const striate_tensor* dweight) {
  return backward_weight<2>("conv2d_backward_weight", p, x, dy, dweight);
}

striate_status striate_conv3d_output_size(const striate_conv3d* p, const int64_t size[3],
                                          const int64_t filter[3], int64_t out[3]) {
  return capi::guarded([&] {
    const char* op = "conv3d_output_size";
    capi::given(op, "size", size), capi::given(op, "filter", filter), capi::given(op, "out", out);
    output_size<3>(op, p, size, filter, out);
  });
}

striate_status striate_conv3d_forward(const striate_conv3d* p, const striate_tensor* x,
                                      const striate_tensor* weight,
                                      const striate_epilogue* epilogue, const striate_tensor* y) {
  return forward<3>("conv3d_forward", p, x, weight, epilogue, y);
}

striate_status striate_conv3d_backward_data(const striate_conv3d* p, const striate_tensor* dy,
                                            const striate_tensor* weight,
                                            const striate_epilogue* epilogue,
                                            const striate_tensor* dx) {
  return backward_data<3>("conv3d_backward_data", p, dy, weight, epilogue, dx);
}

striate_status striate_conv3d_backward_weight(const striate_conv3d* p, const striate_tensor* x,
                                              const striate_tensor* dy,
                                              const striate_tensor* dweight) {
  return backward_weight<3>("conv3d_backward_weight", p, x, dy, dweight);
}

}  // extern "C"
