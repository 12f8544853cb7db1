// SPDX-License-Identifier: Apache-2.0
// Batch, group and local response normalisation; layer_norm.cpp has those of rows.
#include "ops/norm/norm.h"

#include <cmath>

#include "capi/capi.h"

using namespace striate;
using capi::Before;
using capi::Input;
using capi::Null;
using capi::Output;

namespace {

// x and the gradient that comes, as images.
struct Gradient {
  Operand x, dy, dx;

  Gradient(const char* op, const striate_tensor* dy_tensor, const striate_tensor* x_tensor,
           const striate_tensor* dx_tensor)
      : x(capi::read(op, "x", x_tensor)),
        dy(as_image(op, "dy", capi::read_like(op, "dy", dy_tensor, x))),
        dx(as_image(op, "dx", capi::written_like(op, "dx", dx_tensor, x))) {
    x = as_image(op, "x", x);
  }
};

// What Channels holds as void*; the drivers only read those that were given.
void* read_only(const Input& vector) { return const_cast<void*>(vector.data()); }

}  // namespace

extern "C" {

striate_status striate_batch_norm_inference(const striate_tensor* x_tensor,
                                            const striate_tensor* mean, const striate_tensor* var,
                                            const striate_tensor* weight,
                                            const striate_tensor* bias, double eps,
                                            const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "batch_norm_inference";
    Operand x = capi::read(op, "x", x_tensor), y = capi::written_like(op, "y", y_tensor, x);
    x = as_image(op, "x", x), y = as_image(op, "y", y);
    const ptrdiff_t c = x.shape[1];
    Input m(op, "mean", mean, x, {c}, Null::refused), v(op, "var", var, x, {c}, Null::refused);
    Input w(op, "weight", weight, x, {c}, Null::allowed),
        b(op, "bias", bias, x, {c}, Null::allowed);
    dispatch(x.dtype, [&](auto* t) {
      using T = pointee<decltype(t)>;
      Workspace<T> invstd{size_t(c)};
      for (ptrdiff_t i = 0; i < c; ++i) invstd[size_t(i)] = T(1) / std::sqrt(v.as<T>()[i] + T(eps));
      batch_norm_infer(x, {w.data(), b.data(), read_only(m), invstd.data()}, y);
    });
  });
}

striate_status striate_batch_norm_forward(const striate_tensor* x_tensor,
                                          const striate_tensor* weight, const striate_tensor* bias,
                                          const striate_tensor* running_mean,
                                          const striate_tensor* running_var, double momentum,
                                          double eps, const striate_tensor* y_tensor,
                                          const striate_tensor* mean,
                                          const striate_tensor* invstd) {
  return capi::guarded([&] {
    const char* op = "batch_norm_forward";
    Operand x = capi::read(op, "x", x_tensor), y = capi::written_like(op, "y", y_tensor, x);
    x = as_image(op, "x", x), y = as_image(op, "y", y);
    const ptrdiff_t c = x.shape[1];
    Input w(op, "weight", weight, x, {c}, Null::allowed),
        b(op, "bias", bias, x, {c}, Null::allowed);
    Output rm(op, "running_mean", running_mean, x, {c}, Null::allowed, Before::kept);
    Output rv(op, "running_var", running_var, x, {c}, Null::allowed, Before::kept);
    Output m(op, "mean", mean, x, {c}, Null::refused);
    Output s(op, "invstd", invstd, x, {c}, Null::refused);
    batch_norm_train(x, {w.data(), b.data(), m.data(), s.data()}, {rm.data(), rv.data(), momentum},
                     eps, y);
    for (const Output* made : {&rm, &rv, &m, &s}) made->finish();
  });
}

striate_status striate_batch_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                           const striate_tensor* weight, const striate_tensor* mean,
                                           const striate_tensor* invstd, const striate_tensor* dx,
                                           const striate_tensor* dweight,
                                           const striate_tensor* dbias) {
  return capi::guarded([&] {
    const char* op = "batch_norm_backward";
    const Gradient g(op, dy, x, dx);
    const ptrdiff_t c = g.x.shape[1];
    Input w(op, "weight", weight, g.x, {c}, Null::allowed);
    Input m(op, "mean", mean, g.x, {c}, Null::refused);
    Input s(op, "invstd", invstd, g.x, {c}, Null::refused);
    Output dw(op, "dweight", dweight, g.x, {c}, Null::refused);
    Output db(op, "dbias", dbias, g.x, {c}, Null::refused);
    batch_norm_backward(g.dy, g.x, {w.data(), nullptr, read_only(m), read_only(s)},
                        Statistics::batch, g.dx, dw.data(), db.data());
    dw.finish(), db.finish();
  });
}

striate_status striate_group_norm_forward(const striate_tensor* x_tensor, int64_t groups,
                                          const striate_tensor* weight, const striate_tensor* bias,
                                          double eps, const striate_tensor* y_tensor,
                                          const striate_tensor* mean,
                                          const striate_tensor* invstd) {
  return capi::guarded([&] {
    const char* op = "group_norm_forward";
    Operand x = capi::read(op, "x", x_tensor), y = capi::written_like(op, "y", y_tensor, x);
    x = as_image(op, "x", x), y = as_image(op, "y", y);
    check_groups(op, groups, x);
    const ptrdiff_t n = x.shape[0], c = x.shape[1];
    Input w(op, "weight", weight, x, {c}, Null::allowed),
        b(op, "bias", bias, x, {c}, Null::allowed);
    Output m(op, "mean", mean, x, {n, groups}, Null::refused);
    Output s(op, "invstd", invstd, x, {n, groups}, Null::refused);
    group_norm(x, groups, {w.data(), b.data(), m.data(), s.data()}, eps, nullptr, y);
    m.finish(), s.finish();
  });
}

striate_status striate_group_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                           int64_t groups, const striate_tensor* weight,
                                           const striate_tensor* mean, const striate_tensor* invstd,
                                           const striate_tensor* dx, const striate_tensor* dweight,
                                           const striate_tensor* dbias) {
  return capi::guarded([&] {
    const char* op = "group_norm_backward";
    const Gradient g(op, dy, x, dx);
    check_groups(op, groups, g.x);
    const ptrdiff_t n = g.x.shape[0], c = g.x.shape[1];
    Input w(op, "weight", weight, g.x, {c}, Null::allowed);
    Input m(op, "mean", mean, g.x, {n, groups}, Null::refused);
    Input s(op, "invstd", invstd, g.x, {n, groups}, Null::refused);
    Output dw(op, "dweight", dweight, g.x, {c}, Null::refused);
    Output db(op, "dbias", dbias, g.x, {c}, Null::refused);
    group_norm_backward(g.dy, g.x, groups, {w.data(), nullptr, read_only(m), read_only(s)}, g.dx,
                        dw.data(), db.data());
    dw.finish(), db.finish();
  });
}

striate_status striate_local_response_norm_forward(const striate_tensor* x_tensor, int64_t size,
                                                   double alpha, double beta, double k,
                                                   const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "local_response_norm_forward";
    Operand x = capi::read(op, "x", x_tensor), y = capi::written_like(op, "y", y_tensor, x);
    if (size < 1) fail(op, "size", "1 or more", std::to_string(size));
    local_response_norm(as_image(op, "x", x), {size, alpha, beta, k}, as_image(op, "y", y));
  });
}

striate_status striate_local_response_norm_backward(const striate_tensor* dy,
                                                    const striate_tensor* x, int64_t size,
                                                    double alpha, double beta, double k,
                                                    const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "local_response_norm_backward";
    const Gradient g(op, dy, x, dx);
    if (size < 1) fail(op, "size", "1 or more", std::to_string(size));
    local_response_norm_backward(g.dy, g.x, {size, alpha, beta, k}, g.dx);
  });
}

}  // extern "C"
