// SPDX-License-Identifier: Apache-2.0
#include "ops/peak/peak.h"

#include <vector>

#include "core/operand.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa) STRIATE_KERNEL(peak, name, T, isa, 0)
#include "ops/peak/kernels.inc"
#undef ROW
};

}  // namespace

double peak_fma(Dtype dtype, ptrdiff_t rounds) {
  std::vector<double> flops(static_cast<size_t>(num_threads()), 0.0);
  dispatch(dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(dtype, 0).template as<PeakFn<T>>();
    parallel_for(num_threads(), [&](ptrdiff_t part) {
      T sink = T(1);
      flops[size_t(part)] = kernel(rounds, &sink);
    });
  });
  double total = 0;
  for (double f : flops) total += f;
  return total;
}

}  // namespace striate
