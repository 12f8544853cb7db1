// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/conv2d.h"

#include "capi/capi.h"
#include "ops/layout/layout.h"

using namespace striate;

namespace {

constexpr ptrdiff_t kMost = ptrdiff_t(1) << 40;  // so that no sum of options overflows

void within(const char* op, const char* argument, const int64_t* values, int count, int64_t low) {
  for (int i = 0; i < count; ++i)
    if (values[i] < low || values[i] >= kMost)
      fail(op, argument, std::to_string(low) + " or more", std::to_string(values[i]));
}

void check(const char* op, const striate_conv2d& p) {
  within(op, "stride", p.stride, 2, 1);
  within(op, "padding", p.padding, 4, 0);
  within(op, "dilation", p.dilation, 2, 1);
  within(op, "groups", &p.groups, 1, 1);
}

// The problem for images of shape x (N, C, H, W) and filters of shape w (K, C / groups, R, S).
ConvShape shape_of(const char* op, const striate_conv2d& p, const ptrdiff_t* x,
                   const ptrdiff_t* w) {
  check(op, p);
  ConvShape s{x[0],
              x[1],
              x[2],
              x[3],
              w[0],
              w[2],
              w[3],
              0,
              0,
              p.stride[0],
              p.stride[1],
              p.padding[0],
              p.padding[2],
              p.dilation[0],
              p.dilation[1],
              p.groups};
  if (s.c % s.groups != 0 || s.k % s.groups != 0)
    fail(
        op, "groups",
        "a divisor of " + std::to_string(s.c) + " channels and " + std::to_string(s.k) + " filters",
        std::to_string(s.groups));
  if (w[1] != s.group_c())
    fail(op, "w", "(K, " + std::to_string(s.group_c()) + ", R, S)", shape_text(w, 4));
  if (s.r < 1 || s.s < 1 || s.k < 1) fail(op, "w", "sizes of 1 or more", shape_text(w, 4));
  s.p = conv_output_size(op, "height", s.h, p.padding[0] + p.padding[1], s.r, s.stride_h,
                         s.dilation_h);
  s.q = conv_output_size(op, "width", s.w, p.padding[2] + p.padding[3], s.s, s.stride_w,
                         s.dilation_w);
  return s;
}

Operand read_images(const char* op, const char* argument, const striate_tensor* t) {
  return capi::images(op, argument, capi::read(op, argument, t));
}

Operand written_images(const char* op, const char* argument, const striate_tensor* t) {
  return capi::images(op, argument, capi::written(op, argument, t));
}

}  // namespace

extern "C" {

striate_status striate_conv2d_output_size(const striate_conv2d* p, int64_t height, int64_t width,
                                          int64_t r, int64_t s, int64_t size[2]) {
  return capi::guarded([&] {
    const char* op = "conv2d_output_size";
    check(op, capi::given(op, "p", p));
    capi::given(op, "size", size);
    int64_t sizes[4] = {height, width, r, s};
    within(op, "height, width, r, s", sizes, 4, 1);
    size[0] = conv_output_size(op, "height", height, p->padding[0] + p->padding[1], r, p->stride[0],
                               p->dilation[0]);
    size[1] = conv_output_size(op, "width", width, p->padding[2] + p->padding[3], s, p->stride[1],
                               p->dilation[1]);
  });
}

striate_status striate_conv2d_forward(const striate_conv2d* p, const striate_tensor* x_tensor,
                                      const striate_tensor* w_tensor,
                                      const striate_epilogue* epilogue,
                                      const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "conv2d_forward";
    Operand x = read_images(op, "x", x_tensor), w = read_images(op, "w", w_tensor);
    Operand y = written_images(op, "y", y_tensor);
    capi::same_dtype(op, "w", x, w);
    capi::same_dtype(op, "y", x, y);
    ConvShape s = shape_of(op, capi::given(op, "p", p), x.shape, w.shape);
    ptrdiff_t shape[4] = {s.n, s.k, s.p, s.q};
    expect_shape(op, "y", y, shape, 4);
    if (epilogue != nullptr && (epilogue->alpha != 1 || epilogue->beta != 0))
      fail(op, "epilogue", "alpha 1 and beta 0", "others");
    ImageInput dense_x(x), dense_w(w);
    ImageOutput dense_y(y);
    dispatch(x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv2d_fwd(s, dense_x.as<T>(), dense_w.as<T>(), capi::epilogue_of<T>(op, epilogue, x, s.k),
                 dense_y.as<T>());
    });
    dense_y.finish();
  });
}

striate_status striate_conv2d_backward_data(const striate_conv2d* p,
                                            const striate_tensor* dy_tensor,
                                            const striate_tensor* w_tensor,
                                            const striate_tensor* dx_tensor) {
  return capi::guarded([&] {
    const char* op = "conv2d_backward_data";
    Operand dy = read_images(op, "dy", dy_tensor), w = read_images(op, "w", w_tensor);
    Operand dx = written_images(op, "dx", dx_tensor);
    capi::same_dtype(op, "w", dy, w);
    capi::same_dtype(op, "dx", dy, dx);
    ConvShape s = shape_of(op, capi::given(op, "p", p), dx.shape, w.shape);
    ptrdiff_t shape[4] = {s.n, s.k, s.p, s.q};
    expect_shape(op, "dy", dy, shape, 4);
    ImageInput dense_dy(dy), dense_w(w);
    ImageOutput dense_dx(dx);
    dispatch(dy.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv2d_bwd_data(s, dense_dy.as<T>(), dense_w.as<T>(), Epilogue<T>(), dense_dx.as<T>());
    });
    dense_dx.finish();
  });
}

striate_status striate_conv2d_backward_weight(const striate_conv2d* p,
                                              const striate_tensor* x_tensor,
                                              const striate_tensor* dy_tensor,
                                              const striate_tensor* dw_tensor) {
  return capi::guarded([&] {
    const char* op = "conv2d_backward_weight";
    Operand x = read_images(op, "x", x_tensor), dy = read_images(op, "dy", dy_tensor);
    Operand dw = written_images(op, "dw", dw_tensor);
    capi::same_dtype(op, "dy", x, dy);
    capi::same_dtype(op, "dw", x, dw);
    ConvShape s = shape_of(op, capi::given(op, "p", p), x.shape, dw.shape);
    ptrdiff_t shape[4] = {s.n, s.k, s.p, s.q};
    expect_shape(op, "dy", dy, shape, 4);
    ImageInput dense_x(x), dense_dy(dy);
    ImageOutput dense_dw(dw);
    dispatch(x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      conv2d_bwd_weight(s, dense_x.as<T>(), dense_dy.as<T>(), dense_dw.as<T>());
    });
    dense_dw.finish();
  });
}

}  // extern "C"
