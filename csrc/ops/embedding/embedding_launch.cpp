// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/launchers.h"
#include "ops/embedding/embedding.h"
#include "ops/embedding/embedding_cuda.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kRowsOfWarps = 8, kColumnBytes = 512;
constexpr ptrdiff_t kLongGroup = 1 << 14;  // indices a group, from which on it is worth a block
constexpr unsigned kMostGroups = 65535;    // of a grid's second axis

cuda::Module module("ops/embedding/embedding_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<EmbeddingRowsCuda<T>> rows;
  cuda::Kernel<EmbeddingSumCuda<T>> sum[2];  // a block a group, and a warp a group
  cuda::Kernel<EmbeddingMaxCuda<T>> max;
  cuda::Kernel<EmbeddingMaxBackwardCuda<T>> max_bwd;
};
#define KERNELS(dtype)                                                                        \
  {{module, "embedding_" dtype "_cuda"},                                                      \
   {{module, "embedding_sum_" dtype "_cuda"}, {module, "embedding_sum_" dtype "_cuda_warp"}}, \
   {module, "embedding_max_" dtype "_cuda"},                                                  \
   {module, "embedding_max_bwd_" dtype "_cuda"}}
cuda::ByDtype<Kernels> kernels{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS

const long long* numbers(const int64_t* p) { return reinterpret_cast<const long long*>(p); }

unsigned groups_to_fill(const cuda::Stream& stream, ptrdiff_t groups, unsigned per_block) {
  return std::min(cuda::blocks_to_fill(stream, groups, per_block), kMostGroups);
}

}  // namespace

void embedding_launch(const cuda::Stream& stream, const Operand& table, const Indices& index,
                      const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t n = table.shape[1];
  dispatch(table.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const EmbeddingRowsCuda<T> arguments{table.as<const T>(), table.stride[0],
                                         table.shape[0],      numbers(index.data),
                                         index.size,          n,
                                         out.as<T>(),         n};
    kernels.of(t).rows.launch(
        stream, {{cuda::blocks_to_fill(stream, index.size, kRowsOfWarps)}, {kThreads}},
        {{"weight", table}, {"input", {index.size}}}, arguments);
  });
}

void embedding_sum_launch(const cuda::Stream& stream, const Operand& rows, const EmbeddingGroups& g,
                          const Operand& out) {
  const cuda::OnDevice here(stream.device);
  const int warp = g.indices < kLongGroup * g.count;
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const ptrdiff_t n = rows.shape[1];
    const EmbeddingSumCuda<T> arguments{rows.as<const T>(),
                                        rows.stride[0],
                                        numbers(g.position),
                                        static_cast<const T*>(g.share),
                                        numbers(g.begin),
                                        numbers(g.to),
                                        static_cast<const T*>(g.scale),
                                        g.count,
                                        n,
                                        out.as<T>(),
                                        out.shape[1]};
    const unsigned columns = cuda::blocks_for(n, kColumnBytes / sizeof(T));
    kernels.of(t).sum[warp].launch(
        stream, {{columns, groups_to_fill(stream, g.count, warp ? kRowsOfWarps : 1)}, {32, 8}},
        {{"rows", rows}, {"out", out}}, arguments);
  });
}

void embedding_max_launch(const cuda::Stream& stream, const Operand& rows, const EmbeddingGroups& g,
                          const Operand& out, int64_t* which) {
  const cuda::OnDevice here(stream.device);
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const ptrdiff_t n = rows.shape[1];
    const EmbeddingMaxCuda<T> arguments{rows.as<const T>(),
                                        rows.stride[0],
                                        numbers(g.position),
                                        numbers(g.begin),
                                        g.count,
                                        n,
                                        out.as<T>(),
                                        reinterpret_cast<long long*>(which)};
    kernels.of(t).max.launch(
        stream, {{cuda::blocks_for(n, 32), groups_to_fill(stream, g.count, kRowsOfWarps)}, {32, 8}},
        {{"rows", rows}, {"out", out}}, arguments);
  });
}

void embedding_max_backward_launch(const cuda::Stream& stream, const Operand& dy,
                                   const int64_t* which, const Operand& out) {
  constexpr ptrdiff_t kMostWays = 64;
  const cuda::OnDevice here(stream.device);
  const unsigned ways =
      cuda::blocks_for(std::min(out.shape[0], kMostWays * kRowsOfWarps), kRowsOfWarps);
  dispatch(dy.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const EmbeddingMaxBackwardCuda<T> arguments{dy.as<const T>(), numbers(which), dy.shape[0],
                                                dy.shape[1],      out.shape[0],   out.as<T>()};
    kernels.of(t).max_bwd.launch(stream, {{cuda::blocks_for(dy.shape[1], 32), ways}, {32, 8}},
                                 {{"dy", dy}, {"dweight", out}}, arguments);
  });
}

}  // namespace striate
