// SPDX-License-Identifier: Apache-2.0
#include "ops/sgd/sgd.h"

#include "core/loops.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, rule) STRIATE_KERNEL(sgd, name, T, isa, int(SgdRule::rule))
#include "ops/sgd/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least

void expect_like(const char* argument, const Operand& p, const Operand& x) {
  bool same = x.rank == p.rank;
  for (int i = 0; same && i < p.rank; ++i) same = x.shape[i] == p.shape[i];
  if (!same) fail("sgd", argument, "shape " + p.text() + ", the parameter's", x.text());
}

}  // namespace

void sgd(SgdRule rule, const Operand& p, const Operand& grad, const Operand* b,
         const SgdFactors& factors) {
  expect_like("grad", p, grad);
  if (b) expect_like("momentum_buffer", p, *b);
  const Loops<3> loops({grad, b ? *b : p, p});
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(p.dtype, int(rule)).template as<SgdFn<T>>();
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      kernel(p.as<T>() + at[2], step[2], grad.as<const T>() + at[0], step[0],
             b ? b->as<T>() + at[1] : nullptr, step[1], n, factors);
    });
  });
}

}  // namespace striate
