// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <climits>

#include "cuda/driver/launchers.h"
#include "ops/norm/lrn_cuda.h"
#include "ops/norm/norm.h"

namespace striate {
namespace {

cuda::Module module("ops/norm/lrn_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<LrnCuda<T>> fwd, terms, bwd;
};
cuda::ByDtype<Kernels> kernels_by_dtype{
    {{module, "lrn_fwd_f32_cuda"}, {module, "lrn_terms_f32_cuda"}, {module, "lrn_bwd_f32_cuda"}},
    {{module, "lrn_fwd_f64_cuda"}, {module, "lrn_terms_f64_cuda"}, {module, "lrn_bwd_f64_cuda"}}};

}  // namespace

void lrn_launch(const cuda::Stream& stream, const Lrn& lrn, const Operand& x, const void* dy,
                void* scratch, void* y) {
  if (x.size() == 0) return;
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t channels = x.shape[x.rank - 1], rows = x.size() / channels;
  if (channels > INT_MAX / 4)
    fail("local_response_norm", "x", "fewer than 2^29 channels on a GPU", x.text());
  const ptrdiff_t size = std::min(lrn.size, 2 * channels);  // a larger window holds no more
  const cuda::Grid grid{{cuda::blocks_to_fill(stream, rows, cuda::kWarpRows)}, {cuda::kRowThreads}};
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const LrnCuda<T> arguments{x.as<const T>(),
                               static_cast<const T*>(dy),
                               rows,
                               int(channels),
                               int(size),
                               T(lrn.alpha / double(lrn.size)),
                               T(lrn.beta),
                               T(lrn.k),
                               static_cast<T*>(scratch),
                               static_cast<T*>(y)};
    auto& kernels = kernels_by_dtype.of(t);
    if (!dy) return kernels.fwd.launch(stream, grid, {{"x", x}}, arguments);
    kernels.terms.launch(stream, grid, {{"x", x}}, arguments);
    kernels.bwd.launch(stream, grid, {{"x", x}}, arguments);
  });
}

}  // namespace striate
