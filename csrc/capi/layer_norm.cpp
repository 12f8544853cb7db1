// SPDX-License-Identifier: Apache-2.0
// Layer norm and root mean square norm, which is the one without a mean.
#include "ops/layer_norm/layer_norm.h"

#include "capi/capi.h"

using namespace striate;
using capi::Input;
using capi::Null;
using capi::Output;

namespace {

enum class Centre { mean, zero };

// x as rows over its last axes, and the shapes that follow.
struct Problem {
  const char* op;
  Operand x;
  int axes;

  Problem(const char* name, const striate_tensor* x_tensor, int32_t count)
      : op(name), x(capi::read(name, "x", x_tensor)), axes(count) {
    check_axes(op, x, axes);
  }
  Input vector(const char* argument, const striate_tensor* t) const {
    return {op, argument, t, x, x.shape + x.rank - axes, axes, Null::allowed};
  }
  Output vector_out(const char* argument, const striate_tensor* t) const {
    return {op, argument, t, x, x.shape + x.rank - axes, axes, Null::allowed};
  }
  Input rows(const char* argument, const striate_tensor* t) const {
    return {op, argument, t, x, x.shape, x.rank - axes, Null::refused};
  }
  Output rows_out(const char* argument, const striate_tensor* t) const {
    return {op, argument, t, x, x.shape, x.rank - axes, Null::refused};
  }
};

striate_status forward(const char* op, Centre centre, const striate_tensor* x_tensor, int32_t axes,
                       const striate_tensor* weight, const striate_tensor* bias, double eps,
                       const striate_tensor* y_tensor, const striate_tensor* mean,
                       const striate_tensor* invstd) {
  return capi::guarded([&] {
    const Problem p(op, x_tensor, axes);
    const Input w = p.vector("weight", weight), b = p.vector("bias", bias);
    const Output y(op, "y", y_tensor, p.x, p.x.shape, p.x.rank, Null::refused);
    const Output s = p.rows_out("invstd", invstd);
    std::optional<Output> m;
    if (centre == Centre::mean) m.emplace(p.rows_out("mean", mean));
    const DenseInput x(p.x);
    LayerNormProblem rows = rows_of_axes(p.x, axes);
    rows.x = x.data(), rows.weight = w.data(), rows.bias = b.data();
    rows.mean = m ? m->data() : nullptr, rows.invstd = s.data();
    layer_norm(rows, eps, y.data());
    y.finish(), s.finish();
    if (m) m->finish();
  });
}

striate_status backward(const char* op, Centre centre, const striate_tensor* dy_tensor,
                        const striate_tensor* x_tensor, int32_t axes, const striate_tensor* weight,
                        const striate_tensor* mean, const striate_tensor* invstd,
                        const striate_tensor* dx_tensor, const striate_tensor* dweight,
                        const striate_tensor* dbias) {
  return capi::guarded([&] {
    const Problem p(op, x_tensor, axes);
    const DenseInput x(p.x), dy(capi::read_like(op, "dy", dy_tensor, p.x));
    const Input w = p.vector("weight", weight), s = p.rows("invstd", invstd);
    std::optional<Input> m;
    if (centre == Centre::mean) m.emplace(p.rows("mean", mean));
    const Output dx(op, "dx", dx_tensor, p.x, p.x.shape, p.x.rank, Null::refused);
    const Output dw = p.vector_out("dweight", weight ? dweight : nullptr);
    const Output db = p.vector_out("dbias", dbias);
    LayerNormProblem rows = rows_of_axes(p.x, axes);
    rows.x = x.data(), rows.weight = w.data();
    rows.mean = m ? const_cast<void*>(m->data()) : nullptr;  // backward only reads them
    rows.invstd = const_cast<void*>(s.data());
    layer_norm_backward(rows, dy.data(), dx.data(), dw.data(), db.data());
    dx.finish(), dw.finish(), db.finish();
  });
}

}  // namespace

extern "C" {

striate_status striate_layer_norm_forward(const striate_tensor* x, int32_t axes,
                                          const striate_tensor* weight, const striate_tensor* bias,
                                          double eps, const striate_tensor* y,
                                          const striate_tensor* mean,
                                          const striate_tensor* invstd) {
  return forward("layer_norm_forward", Centre::mean, x, axes, weight, bias, eps, y, mean, invstd);
}

striate_status striate_layer_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                           int32_t axes, const striate_tensor* weight,
                                           const striate_tensor* mean, const striate_tensor* invstd,
                                           const striate_tensor* dx, const striate_tensor* dweight,
                                           const striate_tensor* dbias) {
  return backward("layer_norm_backward", Centre::mean, dy, x, axes, weight, mean, invstd, dx,
                  dweight, dbias);
}

striate_status striate_rms_norm_forward(const striate_tensor* x, int32_t axes,
                                        const striate_tensor* weight, double eps,
                                        const striate_tensor* y, const striate_tensor* invstd) {
  return forward("rms_norm_forward", Centre::zero, x, axes, weight, nullptr, eps, y, nullptr,
                 invstd);
}

striate_status striate_rms_norm_backward(const striate_tensor* dy, const striate_tensor* x,
                                         int32_t axes, const striate_tensor* weight,
                                         const striate_tensor* invstd, const striate_tensor* dx,
                                         const striate_tensor* dweight) {
  return backward("rms_norm_backward", Centre::zero, dy, x, axes, weight, nullptr, invstd, dx,
                  dweight, nullptr);
}

}  // extern "C"
