// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/blocks.h"
#include "cuda/driver/launchers.h"
#include "ops/layer_norm/layer_norm.h"
#include "ops/layer_norm/layer_norm_cuda.h"

namespace striate {
namespace {

constexpr ptrdiff_t kPart = 128, kMostParts = 65535;  // rows; of a grid's second axis

cuda::Module module("ops/layer_norm/layer_norm_cuda.cu");

template <class T>
struct Kernels {  // a block a row, and a warp a row
  cuda::Kernel<LayerNormCuda<T>> layer[2], rms[2];
  cuda::Kernel<LayerNormBackwardCuda<T>> layer_bwd[2], rms_bwd[2], layer_columns, rms_columns;
};
#define PAIR(name) {{module, name}, {module, name "_warp"}}
#define KERNELS(dtype)                                \
  {PAIR("layer_norm_fwd_" dtype "_cuda"),             \
   PAIR("rms_norm_fwd_" dtype "_cuda"),               \
   PAIR("layer_norm_bwd_" dtype "_cuda"),             \
   PAIR("rms_norm_bwd_" dtype "_cuda"),               \
   {module, "layer_norm_bwd_columns_" dtype "_cuda"}, \
   {module, "rms_norm_bwd_columns_" dtype "_cuda"}}
cuda::ByDtype<Kernels> kernels{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS
#undef PAIR

cuda::Grid grid_of(const cuda::Stream& stream, const LayerNormProblem& p) {
  return cuda::grid_of_rows(stream, p.rows, p.n);
}

ptrdiff_t rows_of_part(ptrdiff_t rows) { return std::max(kPart, ceil_div(rows, kMostParts)); }

}  // namespace

void layer_norm_launch(const cuda::Stream& stream, const LayerNormProblem& p, double eps, void* y) {
  const cuda::OnDevice here(stream.device);
  const int warp = cuda::warp_a_row(p.n);
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const LayerNormCuda<T> arguments{static_cast<const T*>(p.x),
                                     static_cast<const T*>(p.weight),
                                     static_cast<const T*>(p.bias),
                                     p.rows,
                                     p.n,
                                     T(eps),
                                     static_cast<T*>(p.mean),
                                     static_cast<T*>(p.invstd),
                                     static_cast<T*>(y)};
    auto& by_length = p.mean ? kernels.of(t).layer : kernels.of(t).rms;
    by_length[warp].launch(stream, grid_of(stream, p), {{"x", {p.rows, p.n}}}, arguments);
  });
}

ptrdiff_t layer_norm_parts(ptrdiff_t rows) {
  return std::max<ptrdiff_t>(ceil_div(rows, rows_of_part(rows)), 1);
}

void layer_norm_backward_launch(const cuda::Stream& stream, const LayerNormProblem& p,
                                const void* dy, void* dx, void* dweight, void* dbias) {
  const cuda::OnDevice here(stream.device);
  const int warp = cuda::warp_a_row(p.n);
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const LayerNormBackwardCuda<T> arguments{static_cast<const T*>(p.x),
                                             static_cast<const T*>(dy),
                                             static_cast<const T*>(p.weight),
                                             static_cast<const T*>(p.mean),
                                             static_cast<const T*>(p.invstd),
                                             p.rows,
                                             p.n,
                                             static_cast<T*>(dx),
                                             rows_of_part(p.rows),
                                             static_cast<T*>(dweight),
                                             static_cast<T*>(dbias)};
    Kernels<T>& of_dtype = kernels.of(t);
    (p.mean ? of_dtype.layer_bwd : of_dtype.rms_bwd)[warp].launch(
        stream, grid_of(stream, p), {{"x", {p.rows, p.n}}}, arguments);
    if (!dweight && !dbias) return;
    (p.mean ? of_dtype.layer_columns : of_dtype.rms_columns)
        .launch(stream, {{cuda::blocks_for(p.n, 32), unsigned(layer_norm_parts(p.rows))}, {32, 8}},
                {{"x", {p.rows, p.n}}}, arguments);
  });
}

}  // namespace striate
