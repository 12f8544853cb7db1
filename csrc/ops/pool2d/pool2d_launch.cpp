// SPDX-License-Identifier: Apache-2.0
#include <climits>

#include "core/blocks.h"
#include "cuda/driver/kernel.h"
#include "ops/pool2d/pool2d.h"
#include "ops/pool2d/pool2d_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256;
constexpr ptrdiff_t kMost = INT_MAX;  // of an index

cuda::Module module("ops/pool2d/pool2d_cuda.cu");

struct Kernels {  // in the order of Pool
  cuda::Kernel<PoolCuda> forward[3], backward[2];
};
#define KERNELS(dtype)                                                                     \
  {                                                                                        \
    {{module, "pool2d_max_" dtype "_cuda"},                                                \
     {module, "pool2d_sum_" dtype "_cuda"},                                                \
     {module, "pool2d_lp2_" dtype "_cuda"}},                                               \
    {                                                                                      \
      {module, "pool2d_bwd_max_" dtype "_cuda"}, {module, "pool2d_bwd_sum_" dtype "_cuda"} \
    }                                                                                      \
  }
Kernels kernels_f32 = KERNELS("f32");
Kernels kernels_f64 = KERNELS("f64");
#undef KERNELS

Kernels& kernels_of(Dtype dtype) { return dtype == Dtype::f32 ? kernels_f32 : kernels_f64; }

// `counted` is how many pixels of the result there are along the axis.
PoolCudaAxis axis_of(const PoolAxis& s, ptrdiff_t counted) {
  return {int(s.in),
          int(s.out),
          s.kernel,
          s.stride,
          s.padding,
          int(s.dilation),
          Divisor::of(int(counted))};
}

struct Pass {
  const Operand &from, &to;
  const void* taps;
  bool backward;
};

PoolCuda arguments_of(const Pass& pass, const PoolShape& shape, const PoolDivisor& divisor) {
  const Operand& to = pass.to;
  const ptrdiff_t packs = ceil_div(to.shape[1], 16 / ptrdiff_t(item_size(to.dtype)));
  PoolCuda a{};
  a.x = pass.from.data, a.y = to.data;
  a.taps = const_cast<void*>(pass.taps);  // forward writes them, backward reads
  a.wide_taps = shape.wide();
  a.images = int(to.shape[0]), a.channels = int(to.shape[1]);
  a.packs = Divisor::of(int(packs));
  a.h = axis_of(shape.h, to.shape[2]), a.w = axis_of(shape.w, to.shape[3]);
  a.divisor_kind = divisor.kind, a.divisor = divisor.value;
  return a;
}

// Throws where an index of the kernels, in 32 bits, does not reach.
void check_sizes(const char* op, const Operand& x, ptrdiff_t packs, const PoolShape& shape) {
  const ptrdiff_t count[4] = {x.shape[0], x.shape[2], x.shape[3], packs};
  if (checked_product(op, "x", count, 4) > kMost)
    fail(op, "x", "images of less than 2^31 packs of 16 bytes on a GPU", "shape " + x.text());
  for (const PoolAxis* axis : {&shape.h, &shape.w})
    if (axis->in + 2 * ptrdiff_t(axis->padding) > kMost)
      fail(op, "padding", "a padded axis of less than 2^31 on a GPU",
           std::to_string(axis->padding));
}

void launch(const cuda::Stream& stream, Pool kind, const Pass& pass, const PoolShape& shape,
            const PoolDivisor& divisor) {
  const Operand& to = pass.to;
  if (to.size() == 0) return;
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t packs = ceil_div(to.shape[1], 16 / ptrdiff_t(item_size(to.dtype)));
  check_sizes("pool2d", to, packs, shape);
  check_sizes("pool2d", pass.from, packs, shape);
  const ptrdiff_t n = to.shape[0] * to.shape[2] * to.shape[3] * packs;
  Kernels& kernels = kernels_of(to.dtype);
  auto& kernel = pass.backward ? kernels.backward[int(kind)] : kernels.forward[int(kind)];
  kernel.launch(stream, {{cuda::blocks_to_fill(stream, n, kThreads)}, {kThreads}},
                {{"from", pass.from}, {"to", to}}, arguments_of(pass, shape, divisor));
}

}  // namespace

void pool2d_launch(const cuda::Stream& stream, Pool kind, const Operand& x, const PoolShape& shape,
                   const PoolDivisor& divisor, const Operand& y, void* taps) {
  launch(stream, kind, {x, y, taps, false}, shape, divisor);
}

void pool2d_backward_launch(const cuda::Stream& stream, Pool kind, const Operand& dy,
                            const void* taps, const PoolShape& shape, const PoolDivisor& divisor,
                            const Operand& dx) {
  launch(stream, kind, {dy, dx, taps, true}, shape, divisor);
}

}  // namespace striate
