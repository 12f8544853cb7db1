// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/launchers.h"
#include "ops/loss/loss.h"
#include "ops/loss/loss_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;
constexpr ptrdiff_t kPart = 16384;  // elements added up by a block

cuda::Module module("ops/loss/loss_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<CrossEntropyCuda<T>> cross_entropy[2];  // a block a row, and a warp a row
  cuda::Kernel<PointwiseCuda<T>> squared_error, absolute_error, huber, binary_logits;

  cuda::Kernel<PointwiseCuda<T>>& pointwise(Loss what) {
    switch (what) {
      case Loss::squared_error:
        return squared_error;
      case Loss::absolute_error:
        return absolute_error;
      case Loss::huber:
        return huber;
      default:
        return binary_logits;
    }
  }
};
#define KERNELS(dtype)                                                                        \
  {{{module, "cross_entropy_" dtype "_cuda"}, {module, "cross_entropy_" dtype "_cuda_warp"}}, \
   {module, "squared_error_" dtype "_cuda"},                                                  \
   {module, "absolute_error_" dtype "_cuda"},                                                 \
   {module, "huber_" dtype "_cuda"},                                                          \
   {module, "binary_logits_" dtype "_cuda"}}
cuda::ByDtype<Kernels> kernels{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS

}  // namespace

void cross_entropy_launch(const cuda::Stream& stream, const CrossEntropy& p, double total,
                          void* losses, void* dx) {
  const ptrdiff_t classes = p.x.shape[p.x.rank == 1 ? 0 : 1], rows = p.x.size() / classes;
  if (rows == 0) return;
  const cuda::OnDevice here(stream.device);
  const int warp = cuda::warp_a_row(classes);
  const double scale = p.reduction == LossReduction::mean ? 1 / total : 1;
  dispatch(p.x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    CrossEntropyCuda<T> arguments{};
    arguments.x = p.x.as<const T>();
    arguments.rows = rows;
    arguments.x_row = arguments.target_row = arguments.dx_row = arguments.classes = classes;
    if (p.labels) arguments.labels = reinterpret_cast<const long long*>(p.labels->data);
    if (p.target) arguments.target = p.target->as<const T>();
    if (p.weight) arguments.weight = p.weight->as<const T>();
    arguments.ignored = p.ignored;
    arguments.smoothing = T(p.smoothing);
    arguments.scale = arguments.factor = T(scale);
    arguments.loss = static_cast<T*>(losses), arguments.dx = static_cast<T*>(dx);
    kernels.of(t).cross_entropy[warp].launch(stream, cuda::grid_of_rows(stream, rows, classes),
                                             {{"input", p.x}}, arguments);
  });
}

ptrdiff_t pointwise_parts(ptrdiff_t n) { return n / kPart + (n % kPart != 0); }

void pointwise_loss_launch(const cuda::Stream& stream, const Pointwise& p, const Operand& loss,
                           const Operand& dx) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = p.x.size();
  const double factor = p.reduction == LossReduction::mean ? p.factor / double(n) : p.factor;
  const bool each = p.reduction == LossReduction::none;
  dispatch(p.x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const PointwiseCuda<T> arguments{p.x.as<const T>(),
                                     p.target.as<const T>(),
                                     n,
                                     kPart,
                                     T(p.parameter),
                                     T(factor),
                                     T(factor),
                                     each ? loss.as<T>() : nullptr,
                                     dx.as<T>(),
                                     each ? nullptr : loss.as<T>()};
    kernels.of(t).pointwise(p.what).launch(
        stream, {{cuda::blocks_to_fill(stream, pointwise_parts(n), 1)}, {kThreads}},
        {{"input", p.x}, {"target", p.target}}, arguments);
  });
}

}  // namespace striate
