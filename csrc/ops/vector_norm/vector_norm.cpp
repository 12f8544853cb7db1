// SPDX-License-Identifier: Apache-2.0
#include "ops/vector_norm/vector_norm.h"

#include <cstring>

#include "core/memory.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what) STRIATE_KERNEL(vector_norm, name, T, isa, int(NormSum::what))
#include "ops/vector_norm/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kPart = 1 << 15;  // elements of a part; fixed, so that the order is too

template <class T>
T add(NormSum what, T a, T b) {
  if (what != NormSum::largest) return a + b;
  return a != a || a > b ? a : b;
}

}  // namespace

NormSum norm_sum_by_name(const char* name) {
  if (!name) fail("vector_norm", "what", "the name of a sum", "None");  // as pybind11 gives it
  if (std::strcmp(name, "squares") == 0) return NormSum::squares;
  if (std::strcmp(name, "absolute") == 0) return NormSum::absolute;
  if (std::strcmp(name, "largest") == 0) return NormSum::largest;
  fail("vector_norm", "what", "\"squares\", \"absolute\" or \"largest\"",
       "\"" + std::string(name) + "\"");
}

void vector_norm(NormSum what, const Operand& x, const Operand& to) {
  const ptrdiff_t n = x.size(), parts = (n + kPart - 1) / kPart;
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(x.dtype, int(what)).template as<NormFn<T>>();
    Workspace<T> partial{size_t(parts)};
    auto part = [&](ptrdiff_t p) {
      ptrdiff_t begin = p * kPart, count = n - begin < kPart ? n - begin : kPart;
      partial[size_t(p)] = kernel(x.as<const T>() + begin, count);
    };
    parallel_for(parts, part);
    // Sums of sums: no more terms than a part has elements, up to 2^30 of them.
    T total = 0;
    for (ptrdiff_t p = 0; p < parts; ++p) total = add(what, total, partial[size_t(p)]);
    *to.as<T>() = total;
  });
}

}  // namespace striate
