// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "cuda/driver/launchers.h"
#include "cuda/driver/memory.h"
#include "ops/indices/indices.h"

namespace striate {
namespace {

constexpr ptrdiff_t kPart = 4096;  // indices that are worth a block

cuda::Module module("ops/indices/indices_cuda.cu");
template <class T>
using CheckKernel = cuda::Kernel<CheckIndicesCuda<T>>;
cuda::ByDtype<CheckKernel> kernels{{module, "check_indices_f32_cuda"},
                                   {module, "check_indices_f64_cuda"}};

}  // namespace

IndexCheck check_indices_launch(const cuda::Stream& stream, const Indices& indices, ptrdiff_t below,
                                std::optional<int64_t> ignored, Dtype dtype, const void* weight,
                                IndexPart* parts) {
  IndexCheck all{-1, 0, 0};
  if (indices.size == 0) return all;
  const cuda::OnDevice here(stream.device);
  const ptrdiff_t count = std::min<ptrdiff_t>((indices.size + kPart - 1) / kPart, kIndexParts);
  dispatch(dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const CheckIndicesCuda<T> arguments{reinterpret_cast<const long long*>(indices.data),
                                        indices.size,
                                        below,
                                        ignored.value_or(0),
                                        ignored.has_value(),
                                        static_cast<const T*>(weight),
                                        parts};
    kernels.of(t).launch(stream, {{unsigned(count)}, {256}}, {{"indices", {indices.size}}},
                         arguments);
  });
  IndexPart found[kIndexParts];
  cuda::detail::download(found, parts, size_t(count) * sizeof(IndexPart), stream);
  cuda::synchronize(stream);
  for (const IndexPart* p = found; p < found + count; ++p) {
    all.weight += p->weight;
    const bool wrong = p->place < indices.size;
    if (wrong && (all.place < 0 || p->place < all.place))
      all.place = p->place, all.value = p->value;
  }
  return all;
}

}  // namespace striate
